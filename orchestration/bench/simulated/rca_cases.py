"""Simulated incidents as the responder meets them: alerts of a simple rule, telemetry up to a moment, and who truly began it.

Alarms that come while nothing happens (decoys, everyday blips) are cases too: nobody began those. The time of earlier alarms does
not count as calm, as in the responder. To have more than one kind of world, some cases are alerted only where users come in, and
some have telemetry each 5 minutes only. Each alarm is explained again and again, as the responder does. A world of short
incidents holds true ones that end by themselves within minutes: what is over is not false for that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from aiops.incidents.root_cause import ChangeEvent
from aiops.incidents.root_cause_question import Interval
from aiops.simulator.simulate import Simulation, simulate
from aiops.simulator.simulation_config import INCIDENT_KINDS, ScriptedIncident, SimulationConfig
from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray
from data_contracts.schemas.metrics import spec_of
from data_contracts.values.moments import microseconds_of, moment_of_us
from models.rca.grid import SeriesGrid
from models.rca.inputs import RcaInputs, WindowConfig
from models.rca.ranking import RootCauseRanker
from models.rca.symptom import symptom_of
from serving.root_cause.incident_telemetry import without

SIZES: Final = (8, 14, 20, 30)
LOUD: Final = 7.0
"""Robust spreads beyond the trailing median from which a metric alerts, three steps in a row."""
GAP_STEPS: Final = 20
WARM_STEPS: Final = 400
WAITS_MIN: Final = (0, 5, 10, 20, 30)
"""Minutes after the first alert at which each alarm is explained."""
COARSE: Final = 5
"""Minutes a step of those whose telemetry is coarse."""
SHORT_EVERY_MIN: Final = 160
SHORT_MIN: Final = (3.0, 10.0)
"""Lengths of the true incidents of a world of short ones."""
_AFTERGLOW: Final = timedelta(minutes=10)
_MINUTE_US: Final = 60_000_000
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedCase:
    """One alarm so long after its first alert: what is known of it, who began it ("" = none), the kind ("none" = a false alarm).

    `number` = place of the alarm among those of its seed; `alert_on` = a metric of an alerted service still alerts.
    """

    inputs: RcaInputs
    root: str
    kind: str
    seed: int
    number: int
    waited_min: int
    front_only: bool
    coarse: bool
    alert_on: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Alarm:
    """A group of alerts: the steps of the first and the last, and the first step of each service."""

    first: int
    last: int
    alerted: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class _World:
    """`alerting` (steps, series) = a metric alerts."""

    simulation: Simulation
    grid: SeriesGrid
    coarse: SeriesGrid
    alerting: BoolArray
    graph: ServiceGraph
    changes: tuple[ChangeEvent, ...]
    incidents: tuple[Mapping[str, object], ...]


def cases_of(seeds: Sequence[int], short: bool = False) -> Iterator[SimulatedCase]:
    """Yield the alarms of each seed's three days, in order of time, each after all of `WAITS_MIN`.

    `short`: of a world whose incidents end by themselves within minutes.
    """
    for seed in seeds:
        world = _world(_short(_config(seed)) if short else _config(seed))
        earlier: list[Interval] = []
        for number, alarm in enumerate(alarms(world.grid, world.alerting)):
            seen = _seen(world, number, alarm)
            if seen is not None:
                yield from _cases(world, seen, earlier)
            earlier.append(_interval(world, alarm))


def _config(seed: int) -> SimulationConfig:
    return SimulationConfig(
        seed=seed,
        services=SIZES[seed % len(SIZES)],
        hours=72.0,
        incidents_per_day=8.0,
        buildup_share=0.5,
        decoys_per_day=8.0,
        deployments_per_day=8.0,
    )


def _short(config: SimulationConfig) -> SimulationConfig:
    """Return the configuration with true incidents of all kinds in turn, each over within minutes, and no others."""
    starts = np.arange(WARM_STEPS + SHORT_EVERY_MIN, config.hours * 60 - SHORT_EVERY_MIN, SHORT_EVERY_MIN)
    lengths = np.random.default_rng(config.seed).uniform(*SHORT_MIN, starts.size)
    kinds = [INCIDENT_KINDS[number % len(INCIDENT_KINDS)] for number in range(starts.size)]
    scripted = tuple(
        ScriptedIncident(kind, start, duration_min=length)
        for kind, start, length in zip(kinds, starts.tolist(), lengths.tolist(), strict=True)
    )
    return replace(config, incidents_per_day=0.0, scripted=scripted)


def _world(config: SimulationConfig) -> _World:
    simulation = simulate(config)
    grid = SeriesGrid.of(pa.concat_tables(list(simulation.telemetry())), 60)
    deployed = simulation.deployments().select(["deployed_at", "service"]).to_pylist()  # whether one harms is not read
    changes = tuple(
        ChangeEvent(f"change-{number}", row["deployed_at"], row["service"], "deployment") for number, row in enumerate(deployed)
    )
    graph = ServiceGraph.from_edges(simulation.edges())
    incidents = tuple(simulation.incidents().to_pylist())
    return _World(simulation, grid, thinned(grid, COARSE), alerting(grid), graph, changes, incidents)


def thinned(grid: SeriesGrid, steps: int) -> SeriesGrid:
    """Return the grid with the mean of so many steps as one, named by its start."""
    count = grid.time_us.size // steps
    blocks = grid.values[: count * steps].reshape(count, steps, -1)
    known = np.isfinite(blocks).sum(axis=1)
    means = np.divide(np.nansum(blocks, axis=1), known, out=np.full(known.shape, np.nan), where=known > 0)
    return SeriesGrid(grid.time_us[: count * steps : steps], grid.series, means)


def alerting(grid: SeriesGrid) -> BoolArray:
    """Return (steps, series) whether a metric alerts."""
    lasting = lasting_loud(grid)
    lasting[:WARM_STEPS] = False
    return lasting


def lasting_loud(grid: SeriesGrid) -> BoolArray:
    """Return (steps, series) whether a metric is loud for the third step in a row; it is at no step before the third."""
    loud = strayed(grid) > LOUD
    lasting = np.zeros_like(loud)
    lasting[2:] = loud[2:] & loud[1:-1] & loud[:-2]
    return lasting


def alarms(grid: SeriesGrid, lasting: BoolArray) -> list[_Alarm]:
    """Return groups of alerts, in order of time; a group ends after a quiet time."""
    groups: list[_Alarm] = []
    for step in np.flatnonzero(lasting.any(axis=1)).tolist():
        if groups and step - groups[-1].last <= GAP_STEPS:
            groups[-1] = replace(groups[-1], last=step)
        else:
            groups.append(_Alarm(step, step, {}))
        for column in np.flatnonzero(lasting[step]).tolist():
            groups[-1].alerted.setdefault(grid.series[column][0], step)
    return groups


def _interval(world: _World, alarm: _Alarm) -> Interval:
    """Return the time that does not count as calm for later alarms: an incident, with the minutes around it."""
    times = world.grid.time_us
    return moment_of_us(int(times[alarm.first])) - _AFTERGLOW, moment_of_us(int(times[alarm.last])) + _AFTERGLOW


def strayed(grid: SeriesGrid) -> FloatArray:
    """Return (steps, series) robust spreads above the trailing median of two hours; 0 for traffic, which alerts nobody."""
    signals = [spec_of(metric).signal for _, metric in grid.series]
    grows = np.array([signal in ("latency", "errors") for signal in signals])
    values = pd.DataFrame(np.where(grows, np.log(np.maximum(grid.values, 1e-4)), grid.values))
    away = values - values.rolling(120, min_periods=30).median().shift(5)
    spread = 1.4826 * away.abs().rolling(360, min_periods=60).median().shift(5)
    spreads = np.asarray(away, dtype=np.float64) / np.maximum(np.asarray(spread, dtype=np.float64), 1e-6)
    return np.where(np.array([signal == "traffic" for signal in signals]), 0.0, np.nan_to_num(spreads))


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """An alarm as number `number` of its seed: `group` = services that alert, `alerted` = the first step of each that is seen."""

    number: int
    group: frozenset[str]
    alerted: Mapping[str, int]
    front: bool
    coarse: bool

    @property
    def first(self) -> int:
        return min(self.alerted.values())


def _seen(world: _World, number: int, alarm: _Alarm) -> _Seen | None:
    """Return an alarm as it is seen; None where no entry service was alerted and only those are seen."""
    front, coarse, alerted = number // 3 % 2 == 1, number // 6 % 2 == 1, alarm.alerted
    if front:
        alerted = {service: step for service, step in alerted.items() if not world.graph.callers(service)}
    return _Seen(number, frozenset(alarm.alerted), alerted, front, coarse) if alerted else None


def _cases(world: _World, seen: _Seen, earlier: Sequence[Interval]) -> Iterator[SimulatedCase]:
    ranker: RootCauseRanker | None = None
    for wait_min in WAITS_MIN:
        inputs = _coarse_inputs(world, seen, wait_min) if seen.coarse else _inputs(world, seen, wait_min)
        if inputs is None:
            return
        ranker = ranker or RootCauseRanker.fit(without(inputs.calm, earlier), world.graph)
        symptom = symptom_of(inputs.window, ranker, world.graph, inputs.alerted)
        calm = without(inputs.calm, earlier)
        inputs = replace(inputs, calm=calm, ranker=ranker, symptom=symptom, changes=world.changes, changes_recorded=True)
        root, kind = _truth(world, seen, inputs.made_at)
        about = (world.simulation.config.seed, seen.number, wait_min, seen.front, seen.coarse)
        yield SimulatedCase(inputs, root, kind, *about, _alerts(world, inputs))


def _alerts(world: _World, inputs: RcaInputs) -> bool:
    """Return whether a metric of an alerted service still alerts."""
    step = int(np.searchsorted(world.grid.time_us, microseconds_of(inputs.made_at), side="right")) - 1
    columns = [column for column, (service, _) in enumerate(world.grid.series) if service in inputs.alerted]
    return bool(world.alerting[step, columns].any())


def _inputs(world: _World, seen: _Seen, wait_min: int) -> RcaInputs | None:
    """Return what is known so long after the first alert; None where the telemetry ends before."""
    times, until = world.grid.time_us, seen.first + wait_min
    if until >= times.size:
        return None
    alerted = {service: moment_of_us(int(times[step])) for service, step in seen.alerted.items() if step <= until}
    return RcaInputs.around(world.grid, world.graph, moment_of_us(int(times[until])), alerted)


def _coarse_inputs(world: _World, seen: _Seen, wait_min: int) -> RcaInputs | None:
    """Return what is known where telemetry comes each COARSE minutes: alerts as late, and only whole steps."""
    step_us = COARSE * _MINUTE_US
    alerted = {service: (int(world.grid.time_us[step]) // step_us + 1) * step_us for service, step in seen.alerted.items()}
    made_us = min(alerted.values()) + wait_min * _MINUTE_US
    if made_us > int(world.grid.time_us[-1]):
        return None
    known = {service: moment_of_us(at) for service, at in alerted.items() if at <= made_us}
    whole = world.coarse.between(0, made_us - step_us + 1)
    return RcaInputs.around(whole, world.graph, moment_of_us(made_us), known, WindowConfig(lead_s=1800.0, before_s=3600.0))


def _truth(world: _World, seen: _Seen, made_at: datetime) -> tuple[str, str]:
    """Return who began what was alerted, and what it was; else what began since.

    An alarm is of an incident that goes on if it alerts a service that the incident has touched.
    """
    at, began_since = moment_of_us(int(world.grid.time_us[seen.first])), ("", "none")
    for incident in world.incidents:
        begins, onset, ends = incident["starts_at"], incident["onset_at"], incident["ends_at"]
        if not (isinstance(begins, datetime) and isinstance(onset, datetime) and isinstance(ends, datetime)):
            continue
        service, kind = str(incident["service"]), str(incident["kind"])
        if onset <= at <= ends + _AFTERGLOW and seen.group & _touched(world.graph, service, kind, at < begins):
            return service, kind
        if at < begins <= made_at:
            began_since = service, kind
    return began_since


def _touched(graph: ServiceGraph, service: str, kind: str, building_up: bool) -> frozenset[str]:
    """Return the services that an incident touches: itself while it builds up, then its callers, in a surge its callees."""
    touched, waiting = {service}, [] if building_up else [service]
    while waiting:
        name = waiting.pop()
        reached = set(graph.callees(name) if kind == "traffic_surge" else graph.callers(name)) - touched
        touched |= reached
        waiting += sorted(reached)
    return frozenset(touched)
