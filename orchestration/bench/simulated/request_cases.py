"""Simulated incidents with their requests, as the responder meets them: loud ones, those that no metric shows, and false alarms.

Metrics alert as in `rca_cases`. Of an incident that no metric shows, the series of log lines and spans around it alert by the
same rule; one that they do not show either is reported from where users come in, some minutes after it began. The function of the
responder reads the requests, up to the moment asked about.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from aiops.incidents.root_cause import ChangeEvent
from aiops.incidents.root_cause_question import Interval
from aiops.signals.edge_minutes import EdgeMinutes
from aiops.signals.log_minutes import LogMinutes
from aiops.simulator.simulate import Simulation, simulate
from aiops.simulator.simulation_config import GRAY_KINDS, SimulationConfig
from aiops.topology.graph import ServiceGraph
from data_contracts.values.moments import microseconds_of, moment_of_us
from models.rca.grid import SeriesGrid
from models.rca.inputs import RcaInputs, WindowConfig
from models.rca.ranking import RootCauseRanker, reached_by
from models.rca.symptom import symptom_of
from orchestration.bench.simulated.rca_cases import WARM_STEPS, alarms, alerting, lasting_loud
from serving.lake.port import Where
from serving.root_cause.incident_requests import IncidentRequests, RequestConfig, RequestTimes
from serving.root_cause.incident_telemetry import without

SIZES: Final = (8, 12, 16, 20)
HOURS: Final = 48.0
TRACES_PER_MIN: Final = 4.0
WAITED_MIN: Final = (0, 2, 5)
"""Minutes after the first alert at which cases are explained, in turn."""
REPORTED: Final = timedelta(minutes=4)
"""After which time users report what nothing alerts."""
_LEARNT: Final = timedelta(minutes=100)
_AFTERGLOW: Final = timedelta(minutes=10)
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, eq=False)
class RequestCase:
    """One alarm: what is known of it, the service that began it ("" = none) and the kind of incident ("none" = a false alarm)."""

    inputs: RcaInputs
    root: str
    kind: str
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class _World:
    simulation: Simulation
    grid: SeriesGrid
    graph: ServiceGraph
    changes: tuple[ChangeEvent, ...]
    incidents: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class _Alert:
    """When each service was first alerted, and what it truly was; `ends` = when it does not count as calm any more."""

    alerted: Mapping[str, datetime]
    ends: datetime
    root: str
    kind: str

    @property
    def first(self) -> datetime:
        return min(self.alerted.values())


def request_cases_of(seeds: Sequence[int]) -> Iterator[RequestCase]:
    """Yield the alarms of each seed's two days, in order of time."""
    for seed in seeds:
        world = _world(seed)
        alerts = sorted((*_loud(world), *_gray(world)), key=lambda alert: (alert.first, alert.kind))
        masked: list[Interval] = []
        for number, alert in enumerate(alerts):
            yield RequestCase(_inputs(world, alert, WAITED_MIN[number % 3], masked), alert.root, alert.kind, seed)
            masked.append((alert.first - _AFTERGLOW, alert.ends + _AFTERGLOW))


def _world(seed: int) -> _World:
    config = SimulationConfig(
        seed=seed,
        services=SIZES[seed % len(SIZES)],
        hours=HOURS,
        incidents_per_day=6.0,
        buildup_share=0.5,
        decoys_per_day=8.0,
        deployments_per_day=8.0,
        gray_per_day=8.0,
        traces_per_min=TRACES_PER_MIN,
    )
    simulation = simulate(config)
    grid = SeriesGrid.of(pa.concat_tables(list(simulation.telemetry())), 60)
    deployed = simulation.deployments().select(["deployed_at", "service"]).to_pylist()  # whether one harms is not read
    changes = tuple(
        ChangeEvent(f"change-{number}", row["deployed_at"], row["service"], "deployment") for number, row in enumerate(deployed)
    )
    graph = ServiceGraph.from_edges(simulation.edges())
    return _World(simulation, grid, graph, changes, tuple(simulation.incidents().to_pylist()))


def _loud(world: _World) -> Iterator[_Alert]:
    """Yield what metrics alert; nothing that lies in an incident which they do not show."""
    times = world.grid.time_us
    for alarm in alarms(world.grid, alerting(world.grid)):
        alerted = {service: moment_of_us(int(times[step])) for service, step in alarm.alerted.items()}
        root, kind = _truth(world, min(alerted.values()))
        if kind not in GRAY_KINDS:
            yield _Alert(alerted, moment_of_us(int(times[alarm.last])), root, kind)


def _truth(world: _World, at: datetime) -> tuple[str, str]:
    for incident in world.incidents:
        if incident["onset_at"] <= at <= incident["ends_at"] + _AFTERGLOW:
            return str(incident["service"]), str(incident["kind"])
    return "", "none"


def _gray(world: _World) -> Iterator[_Alert]:
    """Yield the incidents that series of requests show and metrics do not."""
    warm = moment_of_us(int(world.grid.time_us[min(WARM_STEPS, world.grid.time_us.size - 1)]))
    for incident in world.incidents:
        if incident["kind"] in GRAY_KINDS and incident["starts_at"] >= warm:
            alerted = _alerted(_series_grid(world, incident["starts_at"], incident["ends_at"]), incident["starts_at"])
            reported = dict.fromkeys(_entries(world.graph, incident["service"]), incident["starts_at"] + REPORTED)
            yield _Alert(alerted or reported, incident["ends_at"], incident["service"], incident["kind"])


def _entries(graph: ServiceGraph, service: str) -> tuple[str, ...]:
    """Return the services where users come in whose calls reach a service."""
    return tuple(name for name in graph.services if not graph.callers(name) and service in reached_by(graph, name))


def _series_grid(world: _World, starts_at: datetime, ends_at: datetime) -> SeriesGrid:
    """Return the series of log lines and spans from some time before an incident to its end."""
    lines, spans = LogMinutes(), EdgeMinutes()
    for rows in world.simulation.requests(starts_at - _LEARNT, ends_at):
        lines.observe(rows.logs)
        spans.observe(rows.spans)
    series = pa.concat_tables([minutes.closed(microseconds_of(ends_at)) for minutes in (lines, spans)])
    labels = [",".join(f"{key}={value}" for key, value in pairs or ()) for pairs in series["labels"].to_pylist()]
    metrics = [f"{metric}/{label}" for metric, label in zip(series["metric"].to_pylist(), labels, strict=True)]
    return SeriesGrid.of(series.set_column(2, "metric", pa.array(metrics, pa.string())).drop_columns(["labels"]), 60)


def _alerted(grid: SeriesGrid, since: datetime) -> dict[str, datetime]:
    """Return when each service was first alerted by a series that strayed three minutes in a row."""
    alerted: dict[str, datetime] = {}
    for step, column in zip(*lasting_loud(grid).nonzero(), strict=True):
        at = moment_of_us(int(grid.time_us[step]))
        if at >= since:
            service = grid.series[column][0]
            alerted[service] = min(at, alerted.get(service, at))
    return alerted


def _inputs(world: _World, alert: _Alert, waited_min: int, masked: Sequence[Interval]) -> RcaInputs:
    made_at = min(alert.first + waited_min * _MINUTE, world.simulation.end - _MINUTE)
    seen = {service: at for service, at in alert.alerted.items() if at <= made_at}
    inputs = RcaInputs.around(world.grid, world.graph, made_at, seen)
    calm = without(inputs.calm, masked)
    ranker = RootCauseRanker.fit(calm, world.graph)
    window_start = alert.first - timedelta(seconds=WindowConfig().lead_s)
    times = RequestTimes(alert.first, made_at, made_at, window_start)
    read = IncidentRequests(_Tables.of(world.simulation, window_start, made_at), RequestConfig()).around(
        times, world.simulation.services, masked
    )
    return replace(
        inputs,
        calm=calm,
        ranker=ranker,
        symptom=symptom_of(inputs.window, ranker, world.graph, inputs.alerted),
        changes=world.changes,
        changes_recorded=True,
        requests=None if read is None else read.requests(),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """Requests around one alarm, read as those of a lake are."""

    tables: Mapping[str, pa.Table]

    @classmethod
    def of(cls, simulation: Simulation, window_start: datetime, end: datetime) -> "_Tables":
        begin = max(simulation.config.start, window_start - timedelta(minutes=RequestConfig().calm_minutes + 2))
        rows = list(simulation.requests(begin, end + _MINUTE))
        return cls(
            {"logs": pa.concat_tables([part.logs for part in rows]), "spans": pa.concat_tables([part.spans for part in rows])}
        )

    def days(self, table: str) -> Sequence[date]:
        """Return the days of which a table has rows."""
        return [at.date() for at in self.tables[table]["timestamp"].slice(0, 1).to_pylist() if at is not None]

    def read(
        self, table: str, start: datetime | None, end: datetime | None, columns: Sequence[str] | None, where: Where | None
    ) -> pa.Table:
        """Return rows with start <= time < end: requests are those of all services."""
        del where
        rows, times = self.tables[table], self.tables[table]["timestamp"]
        kept: Any = pc.and_(pc.greater_equal(times, pa.scalar(start, times.type)), pc.less(times, pa.scalar(end, times.type)))
        return rows.filter(kept).select(list(columns or rows.column_names))
