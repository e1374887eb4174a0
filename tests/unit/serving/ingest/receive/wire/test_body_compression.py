"""What is compressed is inflated up to a limit and no further."""

import gzip
import tracemalloc
import zlib

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.ingest.receive.wire.body_compression import ENCODINGS, BodyTooLarge, UnknownEncoding, uncompressed
from serving.ingest.receive.wire.decoded import MalformedBody

LIMIT = 1 << 20


def compressed(body: bytes, encoding: str) -> bytes:
    ways = {
        "identity": lambda: body,
        "snappy": lambda: bytes(cramjam.snappy.compress_raw(body)),
        "zstd": lambda: bytes(cramjam.zstd.compress(body)),
        "gzip": lambda: gzip.compress(body),
    }
    return ways[encoding]()


@given(body=st.binary(max_size=4000), encoding=st.sampled_from(ENCODINGS), times=st.integers(1, 40))
def test_what_was_compressed_comes_back(body: bytes, encoding: str, times: int) -> None:
    assert uncompressed(compressed(body * times, encoding), encoding, LIMIT) == body * times


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_body_of_the_limit_passes_and_one_byte_more_does_not(encoding: str) -> None:
    assert len(uncompressed(compressed(bytes(5000), encoding), encoding, 5000)) == 5000
    with pytest.raises(BodyTooLarge, match="at most 4999 bytes"):
        uncompressed(compressed(bytes(5000), encoding), encoding, 4999)


@pytest.mark.parametrize("encoding", ["snappy", "zstd", "gzip"])
def test_a_bomb_costs_no_more_than_the_limit(encoding: str) -> None:
    bomb = compressed(bytes(64 << 20), encoding)
    tracemalloc.start()
    with pytest.raises(BodyTooLarge):
        uncompressed(bomb, encoding, max(len(bomb), LIMIT))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2 * max(len(bomb), LIMIT)


@pytest.mark.parametrize("encoding", ["snappy", "zstd", "gzip"])
@pytest.mark.parametrize("damage", [lambda body: body[: len(body) // 2], lambda body: b"", lambda body: b"\xff" * 30])
def test_what_cannot_be_inflated_is_refused(encoding: str, damage) -> None:  # type: ignore[no-untyped-def]
    body = compressed(bytes(range(256)) * 20, encoding)
    with pytest.raises((MalformedBody, BodyTooLarge)):
        uncompressed(damage(body), encoding, LIMIT)


def test_an_end_of_gzip_that_lies_about_the_size_is_refused() -> None:
    body = gzip.compress(bytes(100_000))
    with pytest.raises(MalformedBody, match="gzip"):
        uncompressed(body[:-4] + b"\xff\xff\xff\xff", "gzip", LIMIT)
    with pytest.raises(MalformedBody, match="gzip"):
        uncompressed(body[:-4] + b"\0\0\0\0", "gzip", LIMIT)


def test_zlib_is_not_gzip_and_names_are_read_in_any_case() -> None:
    with pytest.raises(MalformedBody, match="body: it is gzip"):
        uncompressed(zlib.compress(b"x"), "gzip", LIMIT)
    assert uncompressed(compressed(b"x", "gzip"), "GZIP", LIMIT) == b"x"
    assert uncompressed(b"x", "", LIMIT) == b"x"


def test_an_unknown_encoding_is_named() -> None:
    with pytest.raises(UnknownEncoding, match=r"'br' is not one of identity, snappy, zstd, gzip"):
        uncompressed(b"x", "br", LIMIT)
