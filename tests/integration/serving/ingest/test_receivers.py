"""The receiver process: what is answered 204 is on the broker, raw, with its definition before it."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from serving.stream import streams
from serving.stream.broker import open_streams
from tests.testing.deadlines import within
from tests.testing.receiver_harness import VERSION_1, VERSION_2, WRITTEN, Receiver, Sent, receiver_settings, write_1, write_2
from tests.testing.stream_harness import wait_until

NOW_MS = int(time.time() * 1000)
CART = {"__name__": "http_requests_total", "job": "cart", "instance": "10.0.0.1:80", "code": "500"}
LOAD = {"__name__": "node_load1", "job": "node", "instance": "web-1:9100"}


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    home: Path = tmp_path_factory.mktemp("receivers") / "home"
    home.mkdir()
    with Receiver(receiver_settings(home, limits='{"small": {"max_series": 2}}')) as started:
        yield started


def test_both_versions_of_remote_write_reach_the_broker_raw(receiver: Receiver) -> None:
    first = receiver.write(write_1([Sent(CART, [(5.0, NOW_MS - 2000), (7.0, NOW_MS - 1000)]), Sent(LOAD, [(0.5, NOW_MS)])]))
    assert (first.status_code, first.headers[WRITTEN]) == (204, "3")
    second = receiver.write(write_2([Sent(CART, [(9.0, NOW_MS)], kind=1)]), VERSION_2)
    assert (second.status_code, second.headers[WRITTEN]) == (204, "1")
    definitions = receiver.rows(streams.KIND_DEFINITIONS)
    requests = [row for row in definitions if row["metric"] == "http_requests_total"]
    assert {row["service"] for row in requests} == {"cart"}
    assert {row["labels"] for row in requests} == {'{"code":"500","instance":"10.0.0.1:80"}'}
    assert [row["why"].partition(":")[0] for row in requests] == ["by name", "declared by the sender"]
    assert [row["role"] for row in definitions if row["service"] == "web-1"] == ["value"]
    series_id = requests[0]["series_id"]
    assert {row["series_id"] for row in requests} == {series_id}
    points = [row["value"] for row in receiver.rows(streams.KIND_POINTS) if row["series_id"] == series_id]
    assert points == [5.0, 7.0, 9.0]


def test_a_body_that_is_sent_again_counts_once_and_says_so(receiver: Receiver) -> None:
    body = write_1([Sent({"__name__": "queue_length", "job": "pay"}, [(3.0, NOW_MS)])])
    answers = [receiver.write(body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [204] * 3
    assert [answer.headers[WRITTEN] for answer in answers] == ["1"] * 3
    assert [answer.headers.get("x-aiops-repeated") for answer in answers] == [None, "1", "1"]
    assert [row["value"] for row in receiver.rows(streams.KIND_POINTS)].count(3.0) == 1


def test_what_is_valid_is_kept_and_the_rest_is_named(receiver: Receiver) -> None:
    answer = receiver.write(
        write_1(
            [
                Sent({"__name__": "kept", "job": "pay"}, [(41.0, NOW_MS)]),
                Sent({"__name__": "ahead", "job": "pay"}, [(42.0, NOW_MS + 3_600_000)] * 2),
                Sent({"__name__": "piped", "job": "a|b"}, [(43.0, NOW_MS)]),
            ]
        )
    )
    assert (answer.status_code, answer.headers[WRITTEN]) == (400, "1")
    assert "future_timestamp: 2 samples; first: ahead{" in answer.text
    assert "name: 1 sample; first: 'a|b' 'piped'" in answer.text
    assert "which is reserved as a separator" in answer.text
    assert [row["value"] for row in receiver.rows(streams.KIND_POINTS) if row["value"] > 40] == [41.0]


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"content-type": "application/json"}, 415, "content-type = application/json"),
        ({"content-type": "application/x-protobuf;proto=io.prometheus.write.v3.Request"}, 415, "content-type"),
        ({"content-encoding": "br"}, 415, "content-encoding = br"),
        ({"content-encoding": "zstd"}, 400, "it is zstd"),
        ({"x-scope-orgid": "a/b"}, 400, "x-scope-orgid = a/b"),
        ({}, 400, "no prometheus.WriteRequest"),
    ],
)
def test_bad_requests_are_refused_for_good_and_say_that_nothing_was_written(
    receiver: Receiver, headers: dict[str, str], status: int, words: str
) -> None:
    body = b"\x03\x08abc"
    answer = receiver.write(body, VERSION_1, **headers)
    assert answer.status_code == status
    assert words in answer.text
    assert answer.headers[WRITTEN] == "0"


def test_tenants_are_kept_apart(receiver: Receiver) -> None:
    body = write_1([Sent({"__name__": "of_tenant", "job": "pay"}, [(1.0, NOW_MS)])])
    assert receiver.write(body, VERSION_1, **{"x-scope-orgid": "acme"}).status_code == 204
    assert receiver.write(body).status_code == 204
    rows = [row for row in receiver.rows(streams.KIND_DEFINITIONS) if row["metric"] == "of_tenant"]
    assert {row["tenant"] for row in rows} == {"acme", "default"}
    assert len({row["series_id"] for row in rows}) == 2


def test_the_limit_of_series_is_a_notice_that_names_the_label(receiver: Receiver) -> None:
    sent = [Sent({"__name__": "requests", "job": "pay", "user": f"u{number}"}, [(1.0, NOW_MS)]) for number in range(9)]
    answer = receiver.write(write_1(sent), VERSION_1, **{"x-scope-orgid": "small"})
    assert (answer.status_code, answer.headers[WRITTEN]) == (400, "2")
    assert "series_limit: 7 samples; first: requests{" in answer.text
    again = receiver.write(write_1([Sent(sent[0].labels, [(2.0, NOW_MS + 1)])]), VERSION_1, **{"x-scope-orgid": "small"})
    assert again.status_code == 204, "series that are known go on"
    broker = open_streams(receiver.settings)
    assert wait_until(lambda: broker.length(streams.NOTICES) > 0, 20)
    (notice,) = [row for entry in broker.range(streams.NOTICES) for row in streams.from_ipc(entry.payload).to_pylist()]
    assert (notice["service"], notice["name"]) == ("pay", "series limit reached")
    assert "by label 'user'" in notice["text"]


def test_metrics_and_the_description_are_served(receiver: Receiver) -> None:
    page = httpx.get(f"{receiver.url}/metrics", timeout=within(10)).text
    assert 'aiops_ingest_points_total{outcome="written",protocol="remote_write_1"}' in page
    assert "/api/v1/write" in httpx.get(f"{receiver.url}/docs.json", timeout=within(10)).json()["paths"]
    assert httpx.get(f"{receiver.url}/api/v1/write", timeout=within(10)).status_code == 405
    assert httpx.get(f"{receiver.url}/nothing", timeout=within(10)).status_code == 404
