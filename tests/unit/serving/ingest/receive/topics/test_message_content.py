"""What messages of topics hold: snappy or not, either version, forms of OTLP; damaged ones are refused and nothing else."""

import json
import random

import cramjam
import pytest

from aiops.errors import ContractError
from serving.ingest.receive.otlp_answers import message_field
from serving.ingest.receive.otlp_endpoint import OtlpJson
from serving.ingest.receive.topics.message_content import ContentReader, RemoteWriteContent, is_version_2, metric_contents
from serving.ingest.receive.topics.topic_messages import TopicMessage
from serving.ingest.receive.wire.decoded import DecodedBody, MalformedBody
from serving.ingest.receive.wire.otlp_decoder import OtlpMetricsDecoder
from serving.ingest.receive.wire.remote_write_decoders import RemoteWrite1Decoder, RemoteWrite2Decoder
from tests.testing.receiver_harness import Sent, write_1, write_2
from tests.testing.wire_bodies import REQUESTS, damaged, damaged_json, json_of, metrics_request

LIMIT = 1 << 20
SERIES = [Sent({"__name__": "up", "job": "cart"}, [(1.0, 1_700_000_000_000)])]


@pytest.fixture(scope="module")
def readers() -> dict[str, ContentReader]:
    otlp = OtlpMetricsDecoder(5)
    return dict(metric_contents(otlp, OtlpJson(otlp), RemoteWriteContent(RemoteWrite1Decoder(5), RemoteWrite2Decoder(5))))


def message(content: bytes, **headers: str) -> TopicMessage:
    return TopicMessage(0, 7, content, {name.replace("_", "-"): text for name, text in headers.items()})


def plain(body: bytes) -> bytes:
    return bytes(cramjam.snappy.decompress_raw(body))


@pytest.mark.parametrize("written", [write_1(SERIES), write_2(SERIES)], ids=["1.0", "2.0"])
def test_remote_write_is_read_compressed_or_not_with_or_without_a_header(
    written: bytes, readers: dict[str, ContentReader]
) -> None:
    zstd = bytes(cramjam.zstd.compress(plain(written)))
    forms = [message(written), message(plain(written)), message(written, content_encoding="snappy")]
    forms += [message(plain(written), content_encoding="identity"), message(zstd, content_encoding="zstd")]
    for form in forms:
        body = readers["remote_write"].read(form, LIMIT)
        assert (len(body.series), body.points.value.tolist()) == (1, [1.0])


@pytest.mark.parametrize("version", [0, 1], ids=["1.0", "2.0"])
def test_the_version_of_any_request_that_holds_something_is_told_by_its_first_field(version: int) -> None:
    make = [REQUESTS["remote_write_1"], REQUESTS["remote_write_2"]][version]
    rng = random.Random(3)
    bodies = [make(rng).SerializeToString() for _ in range(200)]
    assert {is_version_2(body) for body in bodies if body} == {version == 1}


def test_otlp_is_read_in_both_forms(readers: dict[str, ContentReader]) -> None:
    requests = map(metrics_request, map(random.Random, range(50)))
    request = next(request for request in requests if request.ByteSize() > 500)
    gzip = bytes(cramjam.gzip.compress(request.SerializeToString()))
    protobuf = readers["otlp_proto"].read(message(request.SerializeToString()), LIMIT)
    by_json = readers["otlp_json"].read(message(json.dumps(json_of(request)).encode()), LIMIT)
    zipped = readers["otlp_proto"].read(message(gzip, content_encoding="gzip"), LIMIT)
    assert len(protobuf.series) == len(by_json.series) == len(zipped.series) > 0


@pytest.mark.parametrize("encoding", ["otlp_proto", "otlp_json", "remote_write"])
def test_a_message_without_content_or_larger_than_the_limit_is_refused(encoding: str, readers: dict[str, ContentReader]) -> None:
    with pytest.raises(MalformedBody, match="not empty"):
        readers[encoding].read(message(b""), LIMIT)
    with pytest.raises(ContractError, match="at most 10 bytes"):
        readers[encoding].read(message(message_field(1, bytes(100))), 10)
    with pytest.raises(ContractError, match="at most 10 bytes"):
        readers[encoding].read(message(write_1(SERIES), content_encoding="snappy"), 10)


@pytest.mark.parametrize("encoding", ["otlp_proto", "otlp_json", "remote_write"])
def test_damaged_messages_are_read_or_refused(encoding: str, readers: dict[str, ContentReader]) -> None:
    rng = random.Random(11)
    refused = 0
    for _ in range(3000):
        try:
            body = readers[encoding].read(message(damaged_message(encoding, rng)), LIMIT)
        except ContractError:
            refused += 1
        else:
            assert isinstance(body, DecodedBody)
    assert 100 < refused < 2900, "some are still whole, some are not"


def damaged_message(encoding: str, rng: random.Random) -> bytes:
    if encoding == "otlp_json":
        return damaged_json(json.dumps(json_of(metrics_request(rng))).encode(), rng)
    name = {"otlp_proto": "otlp", "remote_write": rng.choice(("remote_write_1", "remote_write_2"))}[encoding]
    body = REQUESTS[name](rng).SerializeToString()
    if encoding == "remote_write" and rng.random() < 0.5:
        body = bytes(cramjam.snappy.compress_raw(body))
    return damaged(body, rng)
