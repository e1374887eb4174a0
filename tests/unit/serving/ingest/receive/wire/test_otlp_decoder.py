"""Rules of OTLP metrics that single examples show best, and its form in JSON."""

import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from serving.ingest.receive.wire.decoded import STALE_NAN_BITS, MalformedBody, Rule, SeriesFault, SeriesKind
from serving.ingest.receive.wire.otlp_decoder import OtlpMetricsDecoder
from tests.testing.wire_bodies import json_of, metrics_request
from tests.testing.wire_reference import reading_of

DECODER = OtlpMetricsDecoder(5)


def request() -> tuple[Any, Any]:
    """Return a request and its only scope's metrics."""
    whole = ExportMetricsServiceRequest()
    resource = whole.resource_metrics.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    return whole, resource.scope_metrics.add().metrics


@pytest.mark.parametrize(
    ("temporality", "monotonic", "kind"),
    [(1, True, SeriesKind.DELTA), (1, False, SeriesKind.DELTA), (2, True, SeriesKind.COUNTER), (2, False, SeriesKind.GAUGE)],
)
def test_kinds_of_sums(temporality: int, monotonic: bool, kind: SeriesKind) -> None:
    whole, metrics = request()
    data = metrics.add(name="orders").sum
    data.aggregation_temporality, data.is_monotonic = temporality, monotonic
    data.data_points.add(as_int=-3, time_unix_nano=2_000_000_999, start_time_unix_nano=1_000_000_000)
    decoded = DECODER.decode(whole.SerializeToString())
    assert decoded.series.kind.tolist() == [kind]
    assert decoded.points.value.tolist() == [-3.0]
    assert (decoded.points.time_us.tolist(), decoded.points.start_us.tolist()) == ([2_000_000], [1_000_000])
    (known,) = decoded.describe(np.array([0]))
    assert (known.metric, known.kind, known.resource) == ("orders", kind, (("service.name", "shop"),))  # type: ignore[union-attr]


def test_a_sum_without_temporality_is_a_fault_that_is_named() -> None:
    whole, metrics = request()
    metrics.add(name="orders").sum.data_points.add(as_int=3)
    metrics.add(name="load").gauge.data_points.add(as_int=3)
    decoded = DECODER.decode(whole.SerializeToString())
    assert (decoded.faults.rule.tolist(), decoded.faults.series.tolist()) == ([Rule.TEMPORALITY_STATED], [0])
    assert decoded.points.series.tolist() == [1]
    (known,) = decoded.describe(decoded.faults.series)
    assert known.metric == "orders"  # type: ignore[union-attr]


def test_no_recorded_value_ends_a_series() -> None:
    whole, metrics = request()
    metrics.add(name="load").gauge.data_points.add(flags=1)
    data = metrics.add(name="latency").histogram
    data.aggregation_temporality = 2
    data.data_points.add(flags=1)
    decoded = DECODER.decode(whole.SerializeToString())
    ends = (decoded.points.value, decoded.histograms.count, decoded.histograms.sum)
    assert [column.view(np.int64).tolist() for column in ends] == [[STALE_NAN_BITS]] * 3


def test_buckets_of_exponential_histograms() -> None:
    """Scale 0: bucket i is (2^i, 2^(i + 1)]."""
    whole, metrics = request()
    data = metrics.add(name="latency").exponential_histogram
    data.aggregation_temporality = 1
    point = data.data_points.add(count=7, sum=30.0, zero_count=1)
    point.positive.offset = 1
    point.positive.bucket_counts.extend([2, 0, 4])
    decoded = DECODER.decode(whole.SerializeToString())
    assert decoded.series.kind.tolist() == [SeriesKind.HISTOGRAM_DELTA]
    assert decoded.histograms.upper.tolist() == [0.0, 2.0, 4.0, 8.0, 16.0]
    assert decoded.histograms.counts.tolist() == [1.0, 0.0, 2.0, 0.0, 4.0]


def test_a_summary_is_its_quantiles_its_count_and_its_sum() -> None:
    whole, metrics = request()
    point = metrics.add(name="latency").summary.data_points.add(count=4, sum=9.5)
    point.quantile_values.add(quantile=0.99, value=3.0)
    decoded = DECODER.decode(whole.SerializeToString())
    assert [(known.metric, known.labels, known.kind) for known in decoded.describe(np.arange(3))] == [  # type: ignore[union-attr]
        ("latency", (("quantile", "0.99"),), SeriesKind.GAUGE),
        ("latency_count", (), SeriesKind.COUNTER),
        ("latency_sum", (), SeriesKind.COUNTER),
    ]
    assert decoded.points.value.tolist() == [3.0, 4.0, 9.5]
    assert len(set(decoded.series.hash.tolist())) == 3


def test_the_order_of_attributes_changes_no_hash() -> None:
    whole, metrics = request()
    data = metrics.add(name="load").gauge
    for names in (("a", "b"), ("b", "a")):
        point = data.data_points.add(as_int=1)
        for name in names:
            point.attributes.add(key=name).value.string_value = name.upper()
    assert len(set(DECODER.decode(whole.SerializeToString()).series.hash.tolist())) == 1


def test_attributes_that_are_no_text_are_a_fault_of_their_series() -> None:
    whole, metrics = request()
    metrics.add(name="load").gauge.data_points.add(as_int=1).attributes.add(key="a").value.string_value = "xy"
    decoded = DECODER.decode(whole.SerializeToString().replace(b"xy", b"\xff\xfe"))
    assert decoded.describe(np.array([0])) == [SeriesFault(Rule.TEXT_IS_UTF8, '{metric="load"}')]


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_json_holds_what_protobuf_holds(seed: int) -> None:
    """The NaN that ends a series has no form of its own there: the flag of the data point says it."""
    stale, other = (np.array([value], np.int64).tobytes() for value in (STALE_NAN_BITS, 0x7FF8000000000000))
    message = ExportMetricsServiceRequest.FromString(
        metrics_request(random.Random(seed)).SerializeToString().replace(stale, other)
    )
    body = json.dumps(json_of(message) | {"unknown": [1, {"x": None}]}).encode()
    decoded, plain = DECODER.decode_json(body), DECODER.decode(message.SerializeToString())
    assert reading_of(decoded) == reading_of(plain)
    assert (decoded.series.hash == plain.series.hash).all()


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"{", "in JSON: Input data was truncated"),
        (b"[1]", "in JSON: Expected `object`"),
        (b'{"resourceMetrics": 3}', "body: it is a request with metrics in JSON: .*resourceMetrics"),
        (
            b'{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": 4}]}]}]}',
            "body: it is a request with metrics in JSON: .*name",
        ),
        (
            b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{"exemplars":[{"traceId":"xyz"}]}]}}]}]}]}',
            "traceId = .xyz. is not hexadecimal digits",
        ),
        (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, "body: it is"),
    ],
)
def test_what_is_no_request_in_json_is_refused_with_the_field(body: bytes, fault: str) -> None:
    with pytest.raises(MalformedBody, match=fault):
        DECODER.decode_json(body)


def gauge_json(point: str, data: str = "gauge", declared: str = "") -> bytes:
    """Return a request with a single data point."""
    metric = f'{{"name": "load", "{data}": {{"dataPoints": [{point}]{declared}}}}}'
    return f'{{"resourceMetrics": [{{"scopeMetrics": [{{"metrics": [{metric}]}}]}}]}}'.encode()


@pytest.mark.parametrize(
    ("point", "value"),
    [('{"asInt": "-7"}', -7.0), ('{"asInt": 3}', 3.0), ('{"asDouble": 2}', 2.0), ('{"asDouble": "-Infinity"}', -np.inf)],
)
def test_numbers_in_json_are_numbers_or_text(point: str, value: float) -> None:
    assert DECODER.decode_json(gauge_json(point)).points.value.tolist() == [value]


def test_an_enum_in_json_is_a_number_or_a_name() -> None:
    for number in ("1", '"AGGREGATION_TEMPORALITY_DELTA"'):
        declared = f', "aggregationTemporality": {number}'
        assert DECODER.decode_json(gauge_json('{"asInt": 1}', "sum", declared)).series.kind.tolist() == [SeriesKind.DELTA]
    with pytest.raises(MalformedBody, match="aggregationTemporality 'often' is none of"):
        DECODER.decode_json(gauge_json('{"asInt": 1}', "sum", ', "aggregationTemporality": "often"'))


@pytest.mark.parametrize(
    "point",
    ['{"asInt": 9223372036854775808}', '{"timeUnixNano": -1}', '{"asDouble": "x"}', '{"flags": 36893488147419103232}'],
)
def test_numbers_in_json_that_do_not_fit_are_refused(point: str) -> None:
    with pytest.raises(MalformedBody, match=r"fit their fields|in JSON"):
        DECODER.decode_json(gauge_json(point))
