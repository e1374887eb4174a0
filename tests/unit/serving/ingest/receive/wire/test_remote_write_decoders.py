"""Rules of remote write that single examples show best; the forms of bodies are compared with protobuf in tests/property."""

import math
from typing import Any

import numpy as np
import pytest

from serving.ingest.receive.wire.decoded import (
    RULES,
    STALE_NAN_BITS,
    MalformedBody,
    Rule,
    SeriesDescription,
    SeriesFault,
    SeriesKind,
)
from serving.ingest.receive.wire.remote_write_decoders import RemoteWrite1Decoder, RemoteWrite2Decoder
from tests.testing.wire_messages import REMOTE_WRITE_1, REMOTE_WRITE_2

LABELS = (("__name__", "up"), ("instance", "a:1"), ("job", "node"))


def version_1(*labels: Any) -> Any:
    request = REMOTE_WRITE_1["WriteRequest"]()
    series = request.timeseries.add()
    for name, value in labels or LABELS:
        series.labels.add(name=name, value=value)
    series.samples.add(value=1.0, timestamp=1000)
    return request


def version_2(kind: int = 0, unit: str = "", **fields: Any) -> Any:
    texts = [text for pair in LABELS for text in pair]
    request = REMOTE_WRITE_2["Request"](symbols=["", *texts, unit])
    series = request.timeseries.add(labels_refs=range(1, len(texts) + 1), **fields)
    series.metadata.type, series.metadata.unit_ref = kind, len(texts) + 1 if unit else 0
    series.samples.add(value=1.0, timestamp=1000)
    return request


def decoded_1(request: Any) -> Any:
    return RemoteWrite1Decoder(5).decode(request.SerializeToString())


def decoded_2(request: Any) -> Any:
    return RemoteWrite2Decoder(5).decode(request.SerializeToString())


def test_one_series_has_one_hash_in_both_versions_until_more_is_declared() -> None:
    plain = decoded_1(version_1()).series.hash[0]
    assert decoded_2(version_2()).series.hash[0] == plain
    others = [decoded_2(version_2(kind, unit)).series.hash[0] for kind, unit in ((1, ""), (2, ""), (0, "s"), (1, "s"))]
    assert len({plain, *others}) == 5


def test_what_is_declared_is_described() -> None:
    (known,) = decoded_2(version_2(1, "seconds")).describe(np.array([0]))
    assert known == SeriesDescription("up", LABELS[1:], SeriesKind.COUNTER, "seconds")


@pytest.mark.parametrize(
    ("labels", "rule", "text"),
    [
        ((("__name__", "up"), ("job", "x"), ("job", "y")), Rule.LABEL_NAMES_DISTINCT, '{__name__="up", job="x", job="y"}'),
        ((("", "x"), ("__name__", "up")), Rule.LABEL_NAME_NOT_EMPTY, '{="x", __name__="up"}'),
        ((("instance", "x"), ("job", "y")), Rule.NAME_PRESENT, '{instance="x", job="y"}'),
        ((("__name__", ""), ("job", "y")), Rule.NAME_PRESENT, '{__name__="", job="y"}'),
    ],
)
def test_a_series_whose_labels_break_a_rule_is_named_with_it(labels: Any, rule: Rule, text: str) -> None:
    assert decoded_1(version_1(*labels)).describe(np.array([0])) == [SeriesFault(rule, text)]
    assert rule in RULES


def test_labels_that_are_no_text_are_a_fault_of_their_series_only() -> None:
    body = version_1(("__name__", "up"), ("job", "xy")).SerializeToString().replace(b"xy", b"\xff\xfe")
    decoded = RemoteWrite1Decoder(5).decode(body + version_1().SerializeToString())
    assert decoded.describe(np.arange(2)) == [
        SeriesFault(Rule.TEXT_IS_UTF8, '{__name__="up", job="��"}'),
        SeriesDescription("up", LABELS[1:], SeriesKind.UNKNOWN),
    ]


def test_a_label_without_a_value_is_no_label() -> None:
    (known,) = decoded_1(version_1(("__name__", "up"), ("job", ""), ("zone", "z"))).describe(np.array([0]))
    assert known.labels == (("zone", "z"),)


def test_the_start_stands_in_the_sample_or_in_the_series() -> None:
    request = version_2(created_timestamp=7)
    request.timeseries[0].samples.add(value=2.0, timestamp=2000, start_timestamp=9)
    request.timeseries[0].histograms.add(count_int=0, timestamp=1)
    request.timeseries[0].histograms.add(count_int=0, timestamp=1, start_timestamp=9)
    decoded = decoded_2(request)
    assert decoded.points.start_us.tolist() == [7000, 9000]
    assert decoded.histograms.start_us.tolist() == [7000, 9000]


def test_a_series_with_an_unknown_symbol_is_left_out_and_the_others_are_kept() -> None:
    request = version_2()
    broken = request.timeseries.add(labels_refs=[1, 99])
    broken.samples.add(value=3.0)
    broken.histograms.add(count_int=1)
    request.timeseries.add(labels_refs=[1, 2, 3]).samples.add(value=4.0)
    request.timeseries.add().CopyFrom(request.timeseries[0])
    decoded = decoded_2(request)
    faults = decoded.faults
    assert faults.rule.tolist() == [Rule.SYMBOL_EXISTS, Rule.LABEL_REFERENCES_IN_PAIRS]
    assert (faults.series.tolist(), faults.points.tolist(), faults.histograms.tolist()) == ([1, 2], [1, 1], [1, 0])
    assert decoded.points.series.tolist() == [0, 3]
    assert decoded.series.hash[0] == decoded.series.hash[3]
    assert [type(known) for known in decoded.describe(np.array([1, 3]))] == [SeriesFault, SeriesDescription]


def test_the_end_of_a_series_keeps_its_bits() -> None:
    request = version_1()
    request.timeseries[0].samples[0].value = np.array([STALE_NAN_BITS]).view(np.float64)[0]
    assert decoded_1(request).points.value.view(np.int64).tolist() == [STALE_NAN_BITS]


def test_buckets_of_a_native_histogram() -> None:
    """Schema 0: bounds are powers of two. Populated are (1, 2], (2, 4] and (16, 32], below 0 only [-2, -1)."""
    request = version_1()
    whole = request.timeseries[0].histograms.add(count_int=14, sum=70.0, timestamp=3, zero_threshold=0.5, zero_count_int=3)
    whole.positive_spans.add(offset=1, length=2)
    whole.positive_spans.add(offset=2, length=1)
    whole.positive_deltas.extend([2, 1, -1])
    whole.negative_spans.add(offset=1, length=1)
    whole.negative_deltas.append(4)
    held = decoded_1(request).histograms
    assert held.upper.tolist() == [-2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 4.0, 16.0, 32.0]
    assert held.counts.tolist() == [0.0, 4.0, 0.0, 3.0, 0.0, 2.0, 3.0, 0.0, 2.0]
    assert (held.count.tolist(), held.sum.tolist(), held.time_us.tolist()) == ([14.0], [70.0], [3000])


def test_buckets_with_bounds_of_their_own() -> None:
    request = version_1()
    whole = request.timeseries[0].histograms.add(count_float=6.5, schema=-53, custom_values=[0.1, 0.5, 1.0])
    whole.positive_spans.add(offset=0, length=1)
    whole.positive_spans.add(offset=1, length=2)
    whole.positive_counts.extend([1.0, 2.0, 3.5])
    held = decoded_1(request).histograms
    assert held.upper.tolist() == [0.1, 0.5, 1.0, math.inf]
    assert held.counts.tolist() == [1.0, 0.0, 2.0, 3.5]


def test_a_histogram_that_breaks_a_rule_is_left_out_alone() -> None:
    request = version_1()
    request.timeseries[0].histograms.add(count_int=1, schema=9)
    request.timeseries[0].histograms.add(count_int=1)
    decoded = decoded_1(request)
    assert (len(decoded.points), len(decoded.histograms)) == (1, 1)
    assert (decoded.faults.rule.tolist(), decoded.faults.histograms.tolist()) == ([Rule.SCHEMA_KNOWN], [1])


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"\x0a\x05\x0a", "ends within the message"),
        (b"\x0a\x03\x12\x05\x09", "ends within the message"),
        (b"\x0a" + b"\xff" * 10 + b"\x01", "at most 64 bits"),
        (b"\x0b", "no groups"),
        (b"\x0e", "wire type is 0, 1, 2 or 5"),
        (b"\x02\x00", "number is 1 to 536870911"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "ends within the message"),
    ],
)
@pytest.mark.parametrize("decoder", [RemoteWrite1Decoder, RemoteWrite2Decoder])
def test_what_is_no_protobuf_is_refused_with_place_and_rule(decoder: Any, body: bytes, rule: str) -> None:
    whole = version_1().SerializeToString() if decoder is RemoteWrite1Decoder else version_2().SerializeToString()
    with pytest.raises(MalformedBody, match=rf"byte {len(whole)}: .*{rule}"):
        decoder(5).decode(whole + (body if decoder is RemoteWrite1Decoder else body.replace(b"\x0a", b"\x2a", 1)))


def test_metadata_is_kept() -> None:
    request = REMOTE_WRITE_1["WriteRequest"]()
    request.metadata.add(type=3, metric_family_name="latency", help="How long", unit="s")
    (known,) = decoded_1(request).metadata
    assert (known.family, known.kind, known.unit, known.help) == ("latency", SeriesKind.HISTOGRAM, "s", "How long")


def test_the_shortest_points_fill_no_more_than_the_body_allows() -> None:
    """A sample of two bytes is a point: value 0 at time 0."""
    points = 100_000
    series = b"\x12\x00" * points
    size = len(series)
    body = b"\x0a" + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + series
    decoded = RemoteWrite1Decoder(5).decode(body)
    assert len(decoded.points) == points
    assert decoded.series.count.tolist() == [points]
    assert not decoded.points.value.any()
    assert len(RemoteWrite1Decoder(5).decode(b"").points) == 0
