"""`aiops bench storm`: 10,000 alerts a minute, some true incidents among them; what is lost, sent, missed, and how fast.

The alerts go through the responder's desk and its store (SQLite), so a latency ends when the incident is on disk.

An incident is caught when a page goes out within `WITHIN_S` of its start that names its root among the first three services. The
baseline opens a group of alerts, and pages, when none came for `GAP_S`; once for all alerts and once for each service. The same
correlation without the storm breaker, and without a store, stands beside it.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import psutil

from aiops.incidents.alert import Alert
from aiops.incidents.correlation.correlation_config import CorrelationConfig
from aiops.incidents.correlation.correlator import Correlator
from aiops.incidents.correlation.outcome import Outcome, Page
from aiops.settings.responder_settings import ResponderSettings
from data_contracts.series.tenant import DEFAULT_TENANT
from orchestration.bench.load.storm_alerts import START, Storm, StormConfig, arrivals, storm_of
from serving.incidents.desk.desk import Desk
from serving.incidents.desk.desk_transaction import Audience
from serving.incidents.notify.channels import LOG
from serving.incidents.store.incident_store import IncidentStore

WITHIN_S: Final = 60.0
GAP_S: Final = 60.0
NAMED: Final = 3
"""Services of a page that count as named."""
NEVER: Final = 1 << 62
"""Alerts a minute that never come: a breaker that stays off."""
DRAIN_S: Final = 10
"""Seconds after the last alert: what has not come out by then is lost."""
_MIB: Final = 1 << 20
Take = Callable[[Sequence[Alert], datetime], Outcome]
"""Takes in alerts and lets time pass to a moment."""


@dataclass(frozen=True, slots=True)
class StormBenchFigures:
    """Figures of a storm. `memory_mib`: of the process after each minute; latencies in seconds from arrival to incident."""

    alerts: int
    lost: int
    counted_twice: int
    true_incidents: int
    missed: float
    notifications: int
    held_back: int
    incidents: int
    late: int
    p50_s: float
    p99_s: float
    alerts_per_second_of_work: float
    storm_entered: int
    memory_mib: tuple[float, ...]
    without_breaker_notifications: int
    without_breaker_missed: float
    baseline_all_notifications: int
    baseline_all_missed: float
    baseline_service_notifications: int
    baseline_service_missed: float


@dataclass(slots=True)
class _Run:
    """What was seen so far."""

    seen: bytearray
    latency_s: list[float] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    incidents: set[str] = field(default_factory=set)
    memory_mib: list[float] = field(default_factory=list)
    busy_s: float = 0.0
    held: int = 0
    late: int = 0
    entered: int = 0
    gap_all: dict[str, float] = field(default_factory=dict)
    gap_pages: list[tuple[float, str]] = field(default_factory=list)
    service_pages: list[tuple[float, str]] = field(default_factory=list)


def bench_storm(config: StormConfig, out: Path | None, say: Callable[[str], None]) -> StormBenchFigures:
    """Run a storm through the correlator second by second, with the breaker and without; `out` takes one JSON object a page."""
    storm = storm_of(config)
    with TemporaryDirectory() as folder, closing(IncidentStore.open(f"sqlite:///{folder}/incidents.db", DEFAULT_TENANT)) as store:
        desk = Desk(store, ResponderSettings(clock="event"), storm.graph, Audience((LOG,)))
        run = _passed(storm, lambda alerts, now: desk.take(alerts, {}, now).outcome, say)
    correlator = Correlator(storm.graph, CorrelationConfig(storm_per_min=NEVER))
    without = _passed(storm, lambda alerts, now: _correlated(correlator, alerts, now), lambda _: None)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("".join(json.dumps(asdict(page), default=str) + "\n" for page in run.pages), encoding="utf-8")
    return _figures(storm, run, without)


def _correlated(correlator: Correlator, alerts: Sequence[Alert], now: datetime) -> Outcome:
    correlator.add(alerts)
    return correlator.advance(now)


def _passed(storm: Storm, take: Take, say: Callable[[str], None]) -> _Run:
    """Return what was seen of a whole storm."""
    run = _Run(bytearray(storm.config.per_minute * storm.config.minutes))
    arrived_s: dict[str, float] = {}
    for second, batch in enumerate(_by_arrival(arrivals(storm))):
        for at_s, alert in batch:
            arrived_s[alert.alert_id] = at_s
            _group(run, at_s, alert.service)
        _step(take, run, second + 1, [alert for _, alert in batch], arrived_s)
        if (second + 1) % 60 == 0 and second < storm.config.minutes * 60:
            run.memory_mib.append(round(psutil.Process().memory_info().rss / _MIB, 1))
            say(f"minute {(second + 1) // 60}: {sum(run.seen)} alerts, {len(run.pages)} pages, {run.memory_mib[-1]} MiB")
    return run


def _by_arrival(made: Iterator[list[tuple[float, Alert]]]) -> Iterator[list[tuple[float, Alert]]]:
    """Yield the alerts that arrive in each second, and some seconds in which none do, in order of arrival."""
    waiting: list[tuple[float, Alert]] = []
    second = 0
    for batch in made:
        second += 1
        waiting += batch
        yield sorted((arrival for arrival in waiting if arrival[0] < second), key=lambda arrival: arrival[0])
        waiting = [arrival for arrival in waiting if arrival[0] >= second]
    for _ in range(DRAIN_S):
        second += 1
        yield sorted((arrival for arrival in waiting if arrival[0] < second), key=lambda arrival: arrival[0])
        waiting = [arrival for arrival in waiting if arrival[0] >= second]


def _step(take: Take, run: _Run, now_s: int, alerts: Sequence[Alert], arrived_s: dict[str, float]) -> None:
    began = time.perf_counter()
    outcome = take(alerts, START + timedelta(seconds=now_s))
    took_s = time.perf_counter() - began
    run.busy_s += took_s
    for fate in outcome.fates:
        run.seen[int(fate.alert_id)] += 1
        run.latency_s.append(now_s + took_s - arrived_s.pop(fate.alert_id))
    run.pages += outcome.pages
    run.incidents |= {incident.incident_id for incident in outcome.incidents}
    run.held, run.late, run.entered = len(outcome.held_back), outcome.late, outcome.storm.entered


def _group(run: _Run, at_s: float, service: str) -> None:
    """Count an alert into the groups of the baselines; a group begins, and pages, after a gap."""
    for key, pages in (("", run.gap_pages), (service, run.service_pages)):
        if at_s - run.gap_all.get(key, -GAP_S - 1.0) > GAP_S:
            pages.append((at_s, service))
        run.gap_all[key] = at_s


def _figures(storm: Storm, run: _Run, without: _Run) -> StormBenchFigures:
    alerts = len(run.seen)
    latency = np.array(run.latency_s)
    return StormBenchFigures(
        alerts=alerts,
        lost=run.seen.count(0),
        counted_twice=sum(count > 1 for count in run.seen),
        true_incidents=len(storm.incidents),
        missed=_missed(storm, _pages_sent(run)),
        notifications=len(run.pages),
        held_back=run.held,
        incidents=len(run.incidents),
        late=run.late,
        p50_s=round(float(np.percentile(latency, 50)), 3),
        p99_s=round(float(np.percentile(latency, 99)), 3),
        alerts_per_second_of_work=round(alerts / run.busy_s),
        storm_entered=run.entered,
        memory_mib=tuple(run.memory_mib),
        without_breaker_notifications=len(without.pages),
        without_breaker_missed=_missed(storm, _pages_sent(without)),
        baseline_all_notifications=len(run.gap_pages),
        baseline_all_missed=_missed(storm, [(at, (service,)) for at, service in run.gap_pages]),
        baseline_service_notifications=len(run.service_pages),
        baseline_service_missed=_missed(storm, [(at, (service,)) for at, service in run.service_pages]),
    )


def _pages_sent(run: _Run) -> list[tuple[float, tuple[str, ...]]]:
    """Return the pages: seconds since the start, and the services named first."""
    return [((page.at - START).total_seconds(), page.services[:NAMED]) for page in run.pages]


def _missed(storm: Storm, pages: Sequence[tuple[float, tuple[str, ...]]]) -> float:
    """Return the share of true incidents without a page in time that names the root."""
    caught = sum(
        any(incident.start_s <= at <= incident.start_s + WITHIN_S and incident.root in services for at, services in pages)
        for incident in storm.incidents
    )
    return round(1.0 - caught / len(storm.incidents), 4)
