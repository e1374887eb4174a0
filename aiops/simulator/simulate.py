"""The simulator's front door: `simulate(config)` plans, the `Simulation` delivers telemetry and truth."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.errors import ConfigurationError
from aiops.simulator.effects import METRICS, EffectField
from aiops.simulator.everyday import (
    Decoy,
    Deployment,
    deployment_effects,
    drifting_services,
    level_drift_effects,
    plan_decoys,
    plan_deployments,
)
from aiops.simulator.gray_faults import faults_of
from aiops.simulator.impact import incident_effects
from aiops.simulator.operations import plan_services
from aiops.simulator.profiles import draw_profiles
from aiops.simulator.request_frames import RequestModel, RequestRows
from aiops.simulator.rows import BlockSpan, RowMaker, spans
from aiops.simulator.schedule import PlannedIncident, plan_incidents
from aiops.simulator.services import Topology, build_topology
from aiops.simulator.signals import SignalModel
from aiops.simulator.simulation_config import DIRTY_KINDS, SimulationConfig
from aiops.simulator.truth import deployments_table, dirty_table, drift_table, edges_table, incidents_table
from aiops.simulator.visits import journeys_of
from data_contracts.values.moments import microseconds_of

_MOST_CHUNK_ROWS: Final = 131_072


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is decided before any value is made."""

    topology: Topology
    incidents: tuple[PlannedIncident, ...]
    deployments: tuple[Deployment, ...]
    decoys: tuple[Decoy, ...]
    drifting: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Simulation:
    """One simulated application. Immutable; iterating does not change it, and any part can be made by itself."""

    config: SimulationConfig
    plan: Plan
    model: SignalModel
    rows: RowMaker
    traffic: RequestModel

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
        done, white = -2, np.empty(0)
        tables: list[pa.Table] = []
        values = np.empty(0)
        cuts = range((first // chunk + 1) * chunk, stop + chunk, chunk)
        for cut in cuts:
            for span in spans(first, min(cut, stop)):
                if span.block != done:
                    before = white if span.block == done + 1 else self.model.grid.white(span.block - 1)
                    white = self.model.grid.white(span.block)
                    values, done = self.model.values(span.block, before, white), span.block
                tables.append(self.rows.table(span, values))
            first = min(cut, stop)
            if tables:
                yield pa.concat_tables(tables)
                tables = []

    def requests(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[RequestRows]:
        """Yield log lines and spans of the sampled traces that begin in the ticks start <= t < end, in tables of some hours.

        What a trace that begins in them leaves later (messages, the end of a long request) is among them, too. Memory: one table.
        """
        yield from self.traffic.rows(*self._steps(start, end))

    def incidents(self) -> pa.Table:
        """Return the incidents as `schemas.INCIDENTS` in order of starts_at."""
        return incidents_table(self.config.start, self.plan.topology, self.plan.incidents)

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
    model = _model(config, plan, own_only=False)
    start_us = microseconds_of(config.start)
    rows = RowMaker(topology.services, model.grid, start_us, config.gap_share, config.dirty_share, config.dirty_kinds)
    journeys = journeys_of(config.seed, topology, plan_services(config.seed, topology, config.lines_per_request), model.profiles)
    faults = faults_of(config.seed, incidents, start_us)
    traffic = RequestModel(model, _model(config, plan, own_only=True), journeys, faults, start_us, config.traces_per_min)
    return Simulation(config, plan, model, rows, traffic)


def _model(config: SimulationConfig, plan: Plan, own_only: bool) -> SignalModel:
    """Return the model of all metrics; `own_only`: without what an incident does to the callers of its root."""
    drifting = np.zeros(len(plan.topology.services))
    drifting[list(plan.drifting)] = 1.0
    return SignalModel(config, draw_profiles(config.seed, plan.topology), _effects(config, plan, own_only), drifting)


def _effects(config: SimulationConfig, plan: Plan, own_only: bool) -> EffectField:
    effects = level_drift_effects(config, plan.drifting)
    for incident in plan.incidents:
        spreads = not own_only or incident.kind == "traffic_surge"
        made = incident_effects(incident, plan.topology, config.seed)
        effects.extend(effect for effect in made if spreads or effect.service == incident.service)
    for deployment in plan.deployments:
        effects.extend(deployment_effects(deployment, config.seed))
    for decoy in plan.decoys:
        effects.extend(decoy.effects)
    return EffectField(effects)
