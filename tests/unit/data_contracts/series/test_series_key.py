"""Series ids are stable for good, catalogues refuse a shared id, tenants have one rule and one folder each."""

import numpy as np
import pytest

from data_contracts.series.catalogue import SeriesCatalogue, SeriesCollisionError
from data_contracts.series.hash_kernels import hash_spans
from data_contracts.series.key import SeriesKey, canonical_bytes, labels_of, labels_text, series_ids
from data_contracts.series.tenant import TenantError, checked_tenant, folder_of, tenant_of
from data_contracts.series.text import SeriesTextError, metric_of, series_of

_SANITY = bytes(range(101))


def _xxh64(data: bytes) -> int:
    return int(hash_spans(np.frombuffer(data, np.uint8), np.array([0, len(data)]))[0])


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", 0xEF46DB3751D8E999), (b"a", 0xD24EC4F1A98C6E5B), (b"abc", 0x44BC2CF5AD770999), (b"xxhash" * 20, None)],
)
def test_the_hash_is_xxh64(data: bytes, expected: int | None) -> None:
    if expected is not None:
        assert _xxh64(data) == expected
    else:
        assert _xxh64(data) == _reference(data)


def test_every_length_agrees_with_a_plain_reading_of_the_specification() -> None:
    for length in range(len(_SANITY)):
        assert _xxh64(_SANITY[:length]) == _reference(_SANITY[:length])


def _reference(data: bytes) -> int:
    """XXH64 with Python's big numbers, from the specification's text."""
    p1, p2, p3 = 11400714785074694791, 14029467366897019727, 1609587929392839161
    p4, p5, mask = 9650029242287828579, 2870177450012600261, (1 << 64) - 1

    def rotated(value: int, bits: int) -> int:
        return ((value << bits) | (value >> (64 - bits))) & mask

    def mixed(lane: int, word: int) -> int:
        return rotated((lane + word * p2) & mask, 31) * p1 & mask

    rest = data
    if len(data) >= 32:
        lanes = [(p1 + p2) & mask, p2, 0, -p1 & mask]
        while len(rest) >= 32:
            words = [int.from_bytes(rest[8 * i : 8 * i + 8], "little") for i in range(4)]
            lanes = [mixed(lane, word) for lane, word in zip(lanes, words, strict=True)]
            rest = rest[32:]
        result = sum(rotated(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & mask
        for lane in lanes:
            result = ((result ^ mixed(0, lane)) * p1 + p4) & mask
    else:
        result = p5
    result = (result + len(data)) & mask
    while len(rest) >= 8:
        result = (rotated(result ^ mixed(0, int.from_bytes(rest[:8], "little")), 27) * p1 + p4) & mask
        rest = rest[8:]
    if len(rest) >= 4:
        result = (rotated(result ^ int.from_bytes(rest[:4], "little") * p1 & mask, 23) * p2 + p3) & mask
        rest = rest[4:]
    for byte in rest:
        result = rotated(result ^ byte * p5 & mask, 11) * p1 & mask
    result = (result ^ result >> 33) * p2 & mask
    result = (result ^ result >> 29) * p3 & mask
    return result ^ result >> 32


def test_ids_are_these_for_good() -> None:
    keys = [SeriesKey("default", "cart", "up"), SeriesKey.of("acme", "cart", "http_requests", {"zone": "a", "code": "500"})]
    assert series_ids(keys).tolist() == [_signed(_reference(canonical_bytes(key))) for key in keys]
    assert [key.series_id for key in keys] == [IDS[key] for key in keys]


IDS = {
    SeriesKey("default", "cart", "up"): 1796956071287836412,
    SeriesKey("acme", "cart", "http_requests", (("code", "500"), ("zone", "a"))): 3917035657961014729,
}


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def test_an_empty_label_is_an_absent_label() -> None:
    assert SeriesKey.of("t", "s", "m", {"code": ""}) == SeriesKey("t", "s", "m")


def test_two_keys_of_one_id_are_refused_by_name() -> None:
    catalogue = SeriesCatalogue()
    catalogue.note(7, SeriesKey("t", "cart", "up"))
    with pytest.raises(SeriesCollisionError, match=r"cart.*orders"):
        catalogue.note(7, SeriesKey("t", "orders", "up"))
    assert catalogue.key_of(7).service == "cart"


@pytest.mark.parametrize("tenant", ["", "a/b", "../x", "-a", ".", "a" * 65, "a b", "acmé", "a\n"])
def test_what_is_no_tenant_is_refused(tenant: str) -> None:
    with pytest.raises(TenantError, match="tenant"):
        checked_tenant(tenant)


def test_tenants_that_differ_in_case_have_folders_that_differ_beyond_it() -> None:
    assert folder_of("ACME").lower() != folder_of("acme").lower()
    assert tenant_of(folder_of("Acme.EU_1")) == "Acme.EU_1"
    with pytest.raises(TenantError, match="no tenant"):
        tenant_of("tenant=Acme")


def test_labels_are_stored_as_ordered_json() -> None:
    assert labels_text([("z", "1"), ("a", "ü")]) == '{"a":"ü","z":"1"}'
    assert labels_of(labels_text([("z", "1"), ("a", "ü")])) == (("a", "ü"), ("z", "1"))


@pytest.mark.parametrize("text", ["cart", "cart|m{", 'cart|m{a="1"', "cart|m{a=1}", 'cart|m{a="1"b="2"}'])
def test_a_text_that_names_no_series_is_refused(text: str) -> None:
    with pytest.raises(SeriesTextError):
        series_of(text, "default")


def test_a_metric_without_labels_has_none() -> None:
    assert metric_of("up") == ("up", ())
