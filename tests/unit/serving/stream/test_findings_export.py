"""The export sends in order, keeps what may be taken later, and gives way to newer points where too much waits."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from serving.stream.consumer.export import findings_export
from serving.stream.consumer.export.export_metrics import ExportMetrics
from serving.stream.consumer.export.exported_series import ExportRules
from serving.stream.consumer.export.findings_export import ExportParts, FindingsExport
from serving.stream.consumer.export.remote_writer import Answer, Outcome
from serving.stream.consumer.export.write_request import WrittenSeries
from tests.testing.deadlines import within
from tests.testing.judged_points import JudgedRow, judged_points
from tests.testing.series_names import named

SERIES = [named("cart|cpu"), named("web|cpu")]
WRITTEN = Answer(Outcome.WRITTEN, "status 204")


@dataclass(slots=True)
class MemoryReceiver:
    """A receiver that gives the answers it was given, then takes everything; and a clock that is set by hand."""

    answers: list[Answer] = field(default_factory=list)
    requests: list[Sequence[WrittenSeries]] = field(default_factory=list)
    now_s: float = 0.0

    def write(self, series: Sequence[WrittenSeries]) -> Answer:
        answer = self.answers.pop(0) if self.answers else WRITTEN
        if answer.outcome is not Outcome.RETRY:
            self.requests.append(series)
        return answer

    def times(self) -> list[list[int]]:
        """Return the times of the values sent, by request."""
        sent = [[written for written in series if ("__name__", "aiops_value") in written.labels] for series in self.requests]
        return [[reading.timestamp_ms for written in request for reading in written.readings] for request in sent]


def export_to(receiver: MemoryReceiver, max_series: int = 10) -> tuple[FindingsExport, CollectorRegistry]:
    registry, rules = CollectorRegistry(), ExportRules((), max_series, 10**12)
    metrics = ExportMetrics(registry)
    parts = ExportParts(rules, 0.01, metrics, lambda: None, threading.Event(), receiver.write, lambda: receiver.now_s)
    return FindingsExport(parts), registry


def offer(export: FindingsExport, *times_s: float, slot: int = 0) -> None:
    export.offer(0, "default", [judged_points(SERIES, [JudgedRow(slot, time_s, severity=2.0) for time_s in times_s])])


def samples(metrics: CollectorRegistry, outcome: str) -> float:
    return metrics.get_sample_value("aiops_export_samples_total", {"outcome": outcome}) or 0.0


def test_points_are_sent_in_order_and_late_ones_not() -> None:
    receiver = MemoryReceiver()
    export, metrics = export_to(receiver)
    offer(export, 3, 1, 2, 2)
    assert export.flush()
    offer(export, 2.5, 4)
    assert export.flush()
    assert receiver.times() == [[1000, 2000, 3000], [4000]]
    assert (samples(metrics, "written"), samples(metrics, "late")) == (4, 2)


def test_what_may_work_later_waits_as_long_as_the_receiver_asks() -> None:
    receiver = MemoryReceiver([Answer(Outcome.RETRY, "status 429", wait_s=7.0), Answer(Outcome.RETRY, "no answer")])
    export, _ = export_to(receiver)
    offer(export, 1)
    assert not export.flush()
    receiver.now_s = 6.9
    offer(export, 2)
    assert not export.flush()
    assert len(receiver.answers) == 1
    receiver.now_s = 7.0
    assert not export.flush()
    receiver.now_s = 10.0
    assert export.flush()
    assert receiver.times() == [[1000, 2000]]


def test_what_is_refused_for_good_is_dropped_and_counted() -> None:
    receiver = MemoryReceiver([Answer(Outcome.REFUSED, "status 400: out of bounds")])
    export, metrics = export_to(receiver)
    offer(export, 1, 2)
    assert export.flush()
    offer(export, 3)
    assert export.flush()
    assert (samples(metrics, "refused"), samples(metrics, "written")) == (2, 1)


def test_of_too_many_that_wait_the_newest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings_export, "WAITING_PER_SERIES", 3)
    receiver = MemoryReceiver([Answer(Outcome.RETRY, "no answer")])
    export, metrics = export_to(receiver, max_series=1)
    offer(export, *range(1, 6))
    assert not export.flush()
    receiver.now_s = 100.0
    assert export.flush()
    assert receiver.times() == [[3000, 4000, 5000]]
    assert samples(metrics, "overflowed") == 2


def test_series_of_tenants_and_partitions_share_the_room() -> None:
    export, metrics = export_to(MemoryReceiver(), max_series=2)
    for partition, tenant in ((0, "acme"), (1, "acme"), (0, "default")):
        export.offer(partition, tenant, [judged_points(SERIES, [JudgedRow(0, 1, severity=2.0)])])
    assert export.flush()
    page = export.page().decode()
    assert 'aiops_value{metric="cpu",service="cart",tenant="acme"} 1.0 1000' in page
    assert "default" not in page
    states = {state: metrics.get_sample_value("aiops_export_series", {"state": state}) for state in ("exported", "left out")}
    assert states == {"exported": 2.0, "left out": 1.0}


def test_nothing_is_kept_where_nothing_is_exported() -> None:
    export, _ = export_to(MemoryReceiver(), max_series=0)
    offer(export, 1)
    assert export.flush()
    assert "cart" not in export.page().decode()


def test_the_thread_sends_until_it_is_stopped() -> None:
    receiver, stop, arrived = MemoryReceiver(), threading.Event(), threading.Event()

    def write(series: Sequence[WrittenSeries]) -> Answer:
        arrived.set()
        return receiver.write(series)

    export = FindingsExport(
        ExportParts(ExportRules((), 1, 1), 0.01, ExportMetrics(CollectorRegistry()), lambda: None, stop, write)
    )
    thread = threading.Thread(target=export.run)
    thread.start()
    offer(export, 1)
    assert arrived.wait(within(10))
    stop.set()
    thread.join(within(10))
    assert not thread.is_alive()
