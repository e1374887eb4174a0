"""From the wire to points: what a receiver puts on the broker becomes rates and histograms in stage 1, by either version."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from data_contracts.series.tenant import DEFAULT_TENANT
from serving.stream import streams
from serving.stream.consumer.consumer_process import tenants_config
from serving.stream.consumer.partition_step import Step
from serving.stream.consumer.tenant_partitions import TenantPartitions
from tests.testing.receiver_harness import VERSION_1, VERSION_2, Receiver, Sent, receiver_settings, write_1, write_2

COUNTER, GAUGE, HISTOGRAM, UNKNOWN = 1, 2, 3, 0
MINUTES = 4
POD = {"job": "web", "pod": "a"}
EXPECTED = {
    "requests_total": [2.0] * MINUTES,
    "in_flight": [float(number) for number in range(MINUTES + 1)],
    "rpc_seconds_rate": [1.0] * MINUTES,
    "rpc_seconds_mean": [0.5] * MINUTES,
    "rpc_seconds_p50": [0.1] * MINUTES,
    "rpc_seconds_p99": [0.98 * 0.9 + 0.1] * MINUTES,
}


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with Receiver(receiver_settings(Path(tmp_path_factory.mktemp("wire") / "home"))) as running:
        yield running


def world(now_ms: int, declared: bool) -> list[Sent]:
    """Return totals, a gauge and a classic histogram, a value a minute."""
    times = [now_ms - 60_000 * (MINUTES - number) for number in range(MINUTES + 1)]

    def sent(metric: str, step: float, kind: int, **labels: str) -> Sent:
        samples = [(step * number, at) for number, at in enumerate(times)]
        return Sent({"__name__": metric, **POD, **labels}, samples, kind if declared else UNKNOWN)

    buckets = [sent("rpc_seconds_bucket", step, HISTOGRAM, le=le) for le, step in (("0.1", 30.0), ("1", 60.0), ("+Inf", 60.0))]
    parts = [*buckets, sent("rpc_seconds_sum", 30.0, HISTOGRAM), sent("rpc_seconds_count", 60.0, HISTOGRAM)]
    return [sent("requests_total", 120.0, COUNTER), sent("in_flight", 1.0, GAUGE), *parts]


def applied(receiver: Receiver, tenant: str) -> Step:
    """Return what stage 1 makes of a tenant's entries."""
    step = Step()
    for number in range(receiver.settings.broker.partitions):
        partition = TenantPartitions(tenants_config(receiver.settings))
        entries = streams.Streams(receiver.broker.client()).range(streams.telemetry(number))
        step.extend(partition.apply([entry for entry in entries if entry.tenant == tenant]).get(tenant, Step()))
    return step


def post(receiver: Receiver, body: bytes, headers: dict[str, str], tenant: str) -> int:
    return httpx.post(f"{receiver.url}/api/v1/write", content=body, headers={**headers, "X-Scope-OrgID": tenant}).status_code


Writer = Callable[[Sequence[Sent]], bytes]


@pytest.mark.parametrize(
    ("tenant", "writer", "headers", "why"),
    [(DEFAULT_TENANT, write_1, VERSION_1, "by name: "), ("second", write_2, VERSION_2, "declared by the sender: ")],
)
def test_both_versions_of_remote_write_give_the_same_points(
    receiver: Receiver, tenant: str, writer: Writer, headers: dict[str, str], why: str
) -> None:
    sent = world(int(time.time()) * 1000, writer is write_2)
    first = [Sent(each.labels, each.samples[:2], each.kind) for each in sent]
    rest = [Sent(each.labels, each.samples[2:], each.kind) for each in sent]
    for series in (first, rest[:4], rest[4:], rest[4:]):
        assert post(receiver, writer(series), headers, tenant) in (200, 204)
    step = applied(receiver, tenant)
    catalogue = {row["series_id"]: row for known in step.catalogue for row in known.rows.to_pylist()}
    made: dict[str, list[tuple[object, float]]] = {}
    for known in step.points:
        for row in known.rows.to_pylist():
            made.setdefault(catalogue[row["series_id"]]["metric"], []).append((row["timestamp"], row["value"]))
    values = {metric: [value for _, value in sorted(points, key=str)] for metric, points in made.items()}
    assert values == {metric: pytest.approx(expected) for metric, expected in EXPECTED.items()}
    assert {row["service"] for row in catalogue.values()} == {"web"}
    whys = {row["metric"]: row["why"] for row in catalogue.values()}
    assert whys["requests_total"].startswith(why)
    assert whys["rpc_seconds_bucket"].startswith(why)
    assert step.rejected == []
    outcomes = ("points_scored", "points_warmup", "points_repeated", "points_folded")
    assert step.counts["points_in"] == sum(step.counts[name] for name in outcomes)
