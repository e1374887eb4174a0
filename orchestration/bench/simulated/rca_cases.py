"""Simulated incidents as the responder meets them: alerts of a simple rule, telemetry up to a moment, and who truly began it.

Alarms that come while nothing happens (decoys, everyday blips) are cases too: nobody began those. The time of earlier alarms does
not count as calm, as in the responder. To have more than one kind of world, some cases are alerted only where users come in, and
some have telemetry each 5 minutes only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from aiops.incidents.root_cause import ChangeEvent
from aiops.incidents.root_cause_question import Interval
from aiops.simulator.simulate import Simulation, simulate
from aiops.simulator.simulation_config import SimulationConfig
from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray
from data_contracts.schemas.metrics import spec_of
from data_contracts.values.moments import moment_of_us
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
WAITED: Final = (0, 2, 5)
"""Steps after the first alert at which cases are explained, in turn; coarse ones after 0, 1 and 2 of their steps."""
COARSE: Final = 5
_AFTERGLOW: Final = timedelta(minutes=10)
_MINUTE_US: Final = 60_000_000


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedCase:
    """One alarm: what is known of it, the service that began it ("" = none) and the kind of incident ("none" = a false alarm)."""

    inputs: RcaInputs
    root: str
    kind: str
    seed: int
    front_only: bool
    coarse: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Alarm:
    """A group of alerts: the steps of the first and the last, and the first step of each service."""

    first: int
    last: int
    alerted: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class _World:
    simulation: Simulation
    grid: SeriesGrid
    coarse: SeriesGrid
    graph: ServiceGraph
    changes: tuple[ChangeEvent, ...]
    incidents: tuple[Mapping[str, object], ...]


def cases_of(seeds: Sequence[int]) -> Iterator[SimulatedCase]:
    """Yield the alarms of each seed's three days, in order of time."""
    for seed in seeds:
        world = _world(seed)
        earlier: list[Interval] = []
        for number, alarm in enumerate(alarms(world.grid)):
            case = _case(world, number, alarm)
            if case is not None:
                calm = without(case.inputs.calm, earlier)
                yield replace(case, inputs=_judged(world, replace(case.inputs, calm=calm)))
            earlier.append(_interval(world, alarm))


def _world(seed: int) -> _World:
    config = SimulationConfig(
        seed=seed,
        services=SIZES[seed % len(SIZES)],
        hours=72.0,
        incidents_per_day=8.0,
        buildup_share=0.5,
        decoys_per_day=8.0,
        deployments_per_day=8.0,
    )
    simulation = simulate(config)
    grid = SeriesGrid.of(pa.concat_tables(list(simulation.telemetry())), 60)
    deployed = simulation.deployments().select(["deployed_at", "service"]).to_pylist()  # whether one harms is not read
    changes = tuple(
        ChangeEvent(f"change-{number}", row["deployed_at"], row["service"], "deployment") for number, row in enumerate(deployed)
    )
    graph = ServiceGraph.from_edges(simulation.edges())
    return _World(simulation, grid, thinned(grid, COARSE), graph, changes, tuple(simulation.incidents().to_pylist()))


def thinned(grid: SeriesGrid, steps: int) -> SeriesGrid:
    """Return the grid with the mean of so many steps as one, named by its start."""
    count = grid.time_us.size // steps
    blocks = grid.values[: count * steps].reshape(count, steps, -1)
    known = np.isfinite(blocks).sum(axis=1)
    means = np.divide(np.nansum(blocks, axis=1), known, out=np.full(known.shape, np.nan), where=known > 0)
    return SeriesGrid(grid.time_us[: count * steps : steps], grid.series, means)


def alarms(grid: SeriesGrid) -> list[_Alarm]:
    """Return groups of alerts, in order of time; a group ends after a quiet time."""
    loud = strayed(grid) > LOUD
    lasting = loud & np.roll(loud, 1, axis=0) & np.roll(loud, 2, axis=0)
    lasting[:WARM_STEPS] = False
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


def _case(world: _World, number: int, alarm: _Alarm) -> SimulatedCase | None:
    """Return the case of an alarm as number `number` of its seed; None where no entry service was alerted."""
    front, coarse = number // 3 % 2 == 1, number // 6 % 2 == 1
    first, alerted = alarm.first, alarm.alerted
    if front:
        entries = [service for service in alerted if not world.graph.callers(service)]
        alerted = {service: alerted[service] for service in entries}
        if not alerted:
            return None
        first = min(alerted.values())
    root, kind = _truth(world, moment_of_us(int(world.grid.time_us[first])))
    inputs = _coarse_inputs(world, alerted, number) if coarse else _inputs(world, alerted, first + WAITED[number % 3])
    return SimulatedCase(inputs, root, kind, world.simulation.config.seed, front, coarse)


def _judged(world: _World, inputs: RcaInputs) -> RcaInputs:
    ranker = RootCauseRanker.fit(inputs.calm, world.graph)
    symptom = symptom_of(inputs.window, ranker, world.graph, inputs.alerted)
    return replace(inputs, ranker=ranker, symptom=symptom, changes=world.changes, changes_recorded=True)


def _inputs(world: _World, alerted: Mapping[str, int], until: int) -> RcaInputs:
    times = world.grid.time_us
    until = min(until, times.size - 1)
    seen = {service: moment_of_us(int(times[step])) for service, step in alerted.items() if step <= until}
    return RcaInputs.around(world.grid, world.graph, moment_of_us(int(times[until])), seen)


def _coarse_inputs(world: _World, alerted: Mapping[str, int], number: int) -> RcaInputs:
    """Return what is known where telemetry comes each COARSE minutes: alerts as late, and only whole steps."""
    step_us = COARSE * _MINUTE_US
    seen = {service: (int(world.grid.time_us[step]) // step_us + 1) * step_us for service, step in alerted.items()}
    made_us = min(seen.values()) + (number % 3) * step_us
    known = {service: moment_of_us(at) for service, at in seen.items() if at <= made_us}
    whole = world.coarse.between(0, made_us - step_us + 1)
    return RcaInputs.around(whole, world.graph, moment_of_us(made_us), known, WindowConfig(lead_s=1800.0, before_s=3600.0))


def _truth(world: _World, at: datetime) -> tuple[str, str]:
    for incident in world.incidents:
        onset, ends = incident["onset_at"], incident["ends_at"]
        if isinstance(onset, datetime) and isinstance(ends, datetime) and onset <= at <= ends + _AFTERGLOW:
            return str(incident["service"]), str(incident["kind"])
    return "", "none"
