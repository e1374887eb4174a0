"""The simulator's front door: `simulate(config)` plans, the `Simulation` delivers telemetry and truth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.errors import ConfigurationError
from aiops.simulator.effects import METRICS
from aiops.simulator.eras import Era, EraSpan, Plan, World, cut
from aiops.simulator.everyday import drifting_services, plan_decoys, plan_deployments
from aiops.simulator.incident_course import Course
from aiops.simulator.noise import BLOCK_STEPS
from aiops.simulator.operations import plan_services
from aiops.simulator.profiles import draw_profiles
from aiops.simulator.request_frames import RequestModel
from aiops.simulator.rows import BlockSpan, RowMaker, spans
from aiops.simulator.schedule import plan_incidents
from aiops.simulator.services import build_topology
from aiops.simulator.simulated_action import SimulatedAction, Standing
from aiops.simulator.simulation_config import DIRTY_KINDS, SimulationConfig
from aiops.simulator.truth import deployments_table, dirty_table, drift_table, edges_table, incidents_table
from aiops.simulator.visits import journeys_of
from aiops.types import FloatArray, RequestRows
from data_contracts.values.moments import microseconds_of

_MOST_CHUNK_ROWS: Final = 131_072


@dataclass(frozen=True, slots=True)
class Simulation:
    """One simulated application. Immutable; iterating does not change it, and any part can be made by itself.

    `eras`: the first one is that in which nobody acts, and each action begins one, at the first tick at or after it.
    """

    config: SimulationConfig
    world: World
    eras: tuple[Era, ...]
    rows: RowMaker

    @property
    def plan(self) -> Plan:
        """Return what is decided before any value is made."""
        return self.world.plan

    @property
    def traffic(self) -> RequestModel:
        """Return what decides requests at the end."""
        return self.eras[-1].traffic

    @property
    def actions(self) -> tuple[SimulatedAction, ...]:
        """Return what has been done, in order of time."""
        return self.eras[-1].log.actions

    def after(self, actions: Sequence[SimulatedAction]) -> "Simulation":
        """Return the simulation after these actions beside those done before: the same bytes up to the first one.

        Raises:
            ConfigurationError: an action is on an unknown service or outside the simulation.
        """
        return replace(self, eras=self.world.eras(self.eras, (*self.actions, *actions)))

    def standing(self, service: str, at: datetime) -> Standing:
        """Return how a service stands at a time: version, replicas, and what has been done to it."""
        log = self.eras[-1].log
        return log.standing(self.services.index(service), log.seconds(at), log.touches())

    def courses(self) -> tuple[Course, ...]:
        """Return what becomes of each planned incident."""
        return self.eras[-1].courses

    @property
    def services(self) -> tuple[str, ...]:
        """Return the names of the services, sorted."""
        return self.plan.topology.services

    @property
    def end(self) -> datetime:
        """Return the end of the simulation; all ticks lie before it."""
        return self.config.start + timedelta(seconds=self.config.length_s)

    def telemetry(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[pa.Table]:
        """Yield the required columns of `schemas.TELEMETRY`, names dictionary-encoded, in tables of at most `chunk_h` hours.

        Tables have at most about 131,000 rows (and their bad ones), in order of timestamp, service, metric, of the ticks
        start <= t < end. A bad row (`dirty_share`) directly follows the good row that it spoils, whatever its own timestamp
        says. Memory: one chunk and two blocks.
        """
        first, stop = self._steps(start, end)
        fitting = _MOST_CHUNK_ROWS // (len(self.services) * len(METRICS))
        chunk = max(1, min(fitting, round(self.config.chunk_h * 3600 / self.config.step_s)))
        blocks = _BlockValues(self)
        tables: list[pa.Table] = []
        for end_of_chunk in range((first // chunk + 1) * chunk, stop + chunk, chunk):
            for whole in spans(first, min(end_of_chunk, stop)):
                parts = cut(whole, whole.block * BLOCK_STEPS, self.eras)
                tables.extend(self.rows.table(part.span, blocks.values(part)) for part in parts)
            first = min(end_of_chunk, stop)
            if tables:
                yield pa.concat_tables(tables)
                tables = []

    def requests(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[RequestRows]:
        """Yield log lines and spans of the sampled traces that begin in the ticks start <= t < end, in tables of some hours.

        What a trace that begins in them leaves later (messages, the end of a long request) is among them, too. Memory: one table.
        """
        first, stop = self._steps(start, end)
        ends = [*(era.first for era in self.eras[1:]), stop]
        for era, end_of_era in zip(self.eras, ends, strict=True):
            until = min(stop, end_of_era)
            if first < until:
                yield from era.traffic.rows(first, until)
                first = until

    def incidents(self) -> pa.Table:
        """Return the incidents as `schemas.INCIDENTS` in the order of their planned starts: when they really harmed."""
        return incidents_table(self.config.start, self.plan.topology, self.courses())

    def edges(self) -> pa.Table:
        """Return the call graph as `schemas.EDGES`."""
        return edges_table(self.config.start, self.plan.topology)

    def drift(self) -> pa.Table:
        """Return the concept drift as `truth_schemas.DRIFT_TRUTH`, one row a drifting service."""
        return drift_table(self.config, self.plan.topology, self.plan.drifting)

    def deployments(self) -> pa.Table:
        """Return the deployments as `truth_schemas.DEPLOYMENTS` in order of time."""
        return deployments_table(self.config.start, self.plan.topology, self.plan.deployments)

    def dirty_rows(self, start: datetime | None = None, end: datetime | None = None) -> pa.Table:
        """Return exactly how many bad rows of each kind `telemetry(start, end)` holds, as `truth_schemas.DIRTY_TRUTH`."""
        counts = np.zeros(len(DIRTY_KINDS), dtype=np.int64)
        if self.config.dirty_share > 0:
            for span in self._spans(start, end):
                counts += self.rows.spoilt(span)
        return dirty_table(counts)

    def _spans(self, start: datetime | None, end: datetime | None) -> list[BlockSpan]:
        return spans(*self._steps(start, end))

    def _steps(self, start: datetime | None, end: datetime | None) -> tuple[int, int]:
        """Return the steps first <= step < stop that lie within start <= t < end."""
        first = 0 if start is None else max(0, self._step_at_or_after(start, "start"))
        stop = self.config.steps if end is None else min(self.config.steps, self._step_at_or_after(end, "end"))
        return first, max(first, stop)

    def _step_at_or_after(self, moment: datetime, field: str) -> int:
        if moment.tzinfo is None:
            raise ConfigurationError(
                f"simulation: {field}={moment!r} has no time zone. Give an aware time, e.g. with tzinfo=UTC."
            )
        return -((self.config.start - moment) // timedelta(seconds=self.config.step_s))


def simulate(config: SimulationConfig) -> Simulation:
    """Plan the simulation of `config`; nothing is generated before `telemetry()` is iterated.

    Raises:
        ConfigurationError: a scripted incident names an unknown service or overlaps another of the same service.
    """
    topology = build_topology(config.seed, config.services, config.applications)
    incidents = plan_incidents(config, topology)
    shown = tuple(incident for incident in incidents if not incident.is_gray)
    plan = Plan(
        topology=topology,
        incidents=incidents,
        deployments=plan_deployments(config, topology, shown),
        decoys=plan_decoys(config, topology, shown),
        drifting=drifting_services(config, topology),
    )
    profiles = draw_profiles(config.seed, topology)
    journeys = journeys_of(config.seed, topology, plan_services(config.seed, topology, config.lines_per_request), profiles)
    world = World(config, plan, journeys)
    era, start_us = world.first_era(), microseconds_of(config.start)
    rows = RowMaker(topology.services, era.model.grid, start_us, config.gap_share, config.dirty_share, config.dirty_kinds)
    return Simulation(config, world, (era,), rows)


class _BlockValues:
    """Values of one block after another, each made once an era."""

    def __init__(self, simulation: Simulation) -> None:
        self._eras = simulation.eras
        self._white: dict[int, FloatArray] = {}
        self._made: tuple[int, int] = (-2, 0)
        self._values: FloatArray = np.empty(0)

    def values(self, part: EraSpan) -> FloatArray:
        """Return (metrics, services, BLOCK_STEPS) values of a part's block in its era."""
        block = part.span.block
        if self._made != (block, part.era):
            model = self._eras[part.era].model
            both = {number: self._white.get(number) for number in (block - 1, block)}
            self._white = {number: model.grid.white(number) if white is None else white for number, white in both.items()}
            self._values = model.values(block, self._white[block - 1], self._white[block])
            self._made = (block, part.era)
        return self._values
