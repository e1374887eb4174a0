"""Bodies that the stream bench sends: what protobuf's own parser and snappy read in them, filled in again and again."""

from typing import Any

import cramjam
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from orchestration.bench.load.fixed_snappy import packed
from orchestration.bench.load.wire_series import METRICS, hosts, in_requests, targets
from orchestration.bench.load.wire_templates import Protocol, template_of
from tests.testing.wire_messages import REMOTE_WRITE_1, REMOTE_WRITE_2

NOW_MS = 1_790_000_000_000
Reading = tuple[tuple[str, ...], float, int]


@given(
    plain=st.lists(st.sampled_from([b"label", b"__name__", b"\x00\x01", b"x" * 70, b"0123456789" * 30]), max_size=60).map(
        b"".join
    ),
    data=st.data(),
)
def test_compressed_bytes_can_be_changed_in_place(plain: bytes, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, max(0, len(plain) - 1)), unique=True)) if plain else []
    variable = np.zeros(len(plain), np.bool_)
    variable[places] = True
    small = packed(plain, variable)
    assert bytes(cramjam.snappy.decompress_raw(small.body)) == plain
    changed, body = bytearray(plain), bytearray(small.body)
    for place in places:
        changed[place] ^= 0x5A
        body[int(small.places[place])] ^= 0x5A
    assert bytes(cramjam.snappy.decompress_raw(bytes(body))) == bytes(changed)


def test_what_repeats_is_copied() -> None:
    plain = b"".join(b"instance=%05d;job=checkout;" % number for number in range(500))
    assert len(packed(plain, np.zeros(len(plain), np.bool_)).body) < len(plain) / 2


def readings(protocol: Protocol, body: bytes) -> list[Reading]:
    """Return (labels, value, time in ms) of every sample, read by protobuf's own classes."""
    if protocol == "otlp":
        return otlp_readings(body)
    plain = bytes(cramjam.snappy.decompress_raw(body))
    if protocol == "remote_write_1":
        return [
            (tuple(text for label in series.labels for text in (label.name, label.value)), sample.value, sample.timestamp)
            for series in REMOTE_WRITE_1["WriteRequest"].FromString(plain).timeseries
            for sample in series.samples
        ]
    request: Any = REMOTE_WRITE_2["Request"].FromString(plain)
    assert [series.metadata.type for series in request.timeseries[:11]] == [2] * 10 + [1]
    return [
        (tuple(request.symbols[reference] for reference in series.labels_refs), sample.value, sample.timestamp)
        for series in request.timeseries
        for sample in series.samples
    ]


def otlp_readings(body: bytes) -> list[Reading]:
    rows: list[Reading] = []
    for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        names = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
        for metric in resource.scope_metrics[0].metrics:
            assert metric.sum.is_monotonic == metric.name.endswith("_total")
            (point,) = (metric.sum if metric.name.endswith("_total") else metric.gauge).data_points
            labels = ("__name__", metric.name, "instance", names["service.instance.id"], "job", names["service.name"])
            rows.append((labels, point.as_double, point.time_unix_nano // 1_000_000))
    return rows


@pytest.mark.parametrize("protocol", ["remote_write_1", "remote_write_2", "otlp"])
def test_a_body_holds_what_it_was_filled_with_each_time(protocol: Protocol) -> None:
    sent = list(targets(30, 7))
    template = template_of(protocol, sent)
    series = [series for target in sent for series in target.series]
    for number in (1, 2):
        values = np.random.default_rng(number).normal(size=len(series))
        time_ms = NOW_MS + number * 60_000
        read = readings(protocol, template.fill(values, time_ms))
        assert [value for _, value, _ in read] == values.tolist()
        assert {time for _, _, time in read} == {time_ms}
        for (labels, _, _), given_series in zip(read, series, strict=True):
            names = dict(given_series.labels)
            assert {names["__name__"], names["instance"], names["job"]} <= set(labels)
    assert template.counts.tolist() == [sent_series.counts for sent_series in series]


def test_requests_hold_whole_targets_and_every_series_once() -> None:
    sent = list(targets(250, 20))
    parts = list(in_requests(sent, 2000))
    assert [len(part) for part in parts] == [100, 100, 50]
    labels = {series.labels for part in parts for target in part for series in target.series}
    assert len(labels) == 250 * len(METRICS)


def test_hosts_are_services_of_their_own() -> None:
    sent = list(hosts(3))
    assert [target.service for target in sent] == ["host-00000", "host-00001", "host-00002"]
    assert all(series.metric.startswith("node_") for target in sent for series in target.series)
