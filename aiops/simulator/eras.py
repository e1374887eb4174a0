"""Eras: what decides all values between one action and the next. What lies before an action is of an earlier one: it stays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from aiops.errors import ConfigurationError
from aiops.simulator.effects import Effect, EffectField
from aiops.simulator.everyday import (
    Decoy,
    Deployment,
    deployment_effects,
    level_drift_effects,
)
from aiops.simulator.gray_faults import faults_of
from aiops.simulator.impact import incident_effects
from aiops.simulator.incident_course import Course
from aiops.simulator.profiles import draw_profiles
from aiops.simulator.reactions import action_effects, courses_of
from aiops.simulator.request_frames import RequestModel
from aiops.simulator.rows import BlockSpan
from aiops.simulator.schedule import PlannedIncident
from aiops.simulator.services import Topology
from aiops.simulator.signals import SignalModel
from aiops.simulator.simulated_action import ActionLog, Release, SimulatedAction, in_order
from aiops.simulator.simulation_config import SimulationConfig
from aiops.simulator.visits import Journeys
from data_contracts.values.moments import microseconds_of


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is decided before any value is made."""

    topology: Topology
    incidents: tuple[PlannedIncident, ...]
    deployments: tuple[Deployment, ...]
    decoys: tuple[Decoy, ...]
    drifting: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Era:
    """From step `first` on, until the next era: metrics and requests as all actions of `log` make them."""

    first: int
    log: ActionLog
    courses: tuple[Course, ...]
    model: SignalModel
    traffic: RequestModel


@dataclass(frozen=True, slots=True)
class EraSpan:
    """Part of a block that lies in the era of number `era`."""

    era: int
    span: BlockSpan


@dataclass(frozen=True, slots=True)
class _Effects:
    """Effects on metrics, in order: all of them, and those without what trouble of a service does to its callers."""

    all_of_them: list[Effect] = field(default_factory=list)
    own: list[Effect] = field(default_factory=list)

    def add(self, effects: Iterable[Effect], cause: int | None = None) -> None:
        """Add effects; of those that a service causes, its callers feel what is not on itself."""
        made = list(effects)
        self.all_of_them.extend(made)
        self.own.extend(effect for effect in made if cause is None or effect.service == cause)


@dataclass(frozen=True, slots=True)
class World:
    """A plan, and what makes eras of it."""

    config: SimulationConfig
    plan: Plan
    journeys: Journeys

    def first_era(self) -> Era:
        """Return the era in which nobody acts."""
        releases = tuple(Release(float(deployment.deployed_s), deployment.service) for deployment in self.plan.deployments)
        return self._era(0, ActionLog(self.config.start, self.plan.topology.services, releases))

    def eras(self, known: Sequence[Era], actions: Sequence[SimulatedAction]) -> tuple[Era, ...]:
        """Return the eras under all these actions; those of `known` that did not change are taken from there.

        Raises:
            ConfigurationError: an action is on an unknown service or outside the simulation.
        """
        for action in actions:
            self._check(action)
        ordered = in_order(actions)
        by_actions = {era.log.actions: era for era in known}
        eras = [known[0]]
        for first in sorted({self.step_of(action) for action in ordered}):
            log = replace(known[0].log, actions=tuple(action for action in ordered if self.step_of(action) <= first))
            eras.append(by_actions.get(log.actions) or self._era(first, log))
        return tuple(eras)

    def step_of(self, action: SimulatedAction) -> int:
        """Return the first step that an action can show in."""
        return -((microseconds_of(self.config.start) - microseconds_of(action.at)) // (self.config.step_s * 1_000_000))

    def _era(self, first: int, log: ActionLog) -> Era:
        config, plan = self.config, self.plan
        courses = courses_of(plan.incidents, log, plan.topology, config.seed)
        effects = self._effects(courses, log)
        drifting = np.zeros(len(plan.topology.services))
        drifting[list(plan.drifting)] = 1.0
        model = SignalModel(config, draw_profiles(config.seed, plan.topology), EffectField(effects.all_of_them), drifting)
        own = replace(model, effects=EffectField(effects.own))
        start_us = microseconds_of(config.start)
        faults = faults_of(config.seed, courses, start_us)
        traffic = RequestModel(model, own, self.journeys, faults, start_us, config.traces_per_min)
        return Era(first, log, courses, model, traffic)

    def _effects(self, courses: Sequence[Course], log: ActionLog) -> _Effects:
        plan, seed, effects = self.plan, self.config.seed, _Effects()
        effects.add(level_drift_effects(self.config, plan.drifting))
        for course in courses:
            spreads = course.incident.kind == "traffic_surge"
            effects.add(incident_effects(course, plan.topology, seed), None if spreads else course.incident.service)
        for deployment in plan.deployments:
            effects.add(deployment_effects(deployment, seed))
        for decoy in plan.decoys:
            effects.add(decoy.effects)
        for touch in log.touches():
            spreads = touch.action.kind == "circuit"
            effects.add(action_effects(touch, plan.topology, seed), None if spreads else touch.service)
        return effects

    def _check(self, action: SimulatedAction) -> None:
        services = self.plan.topology.services
        if action.service not in services:
            raise ConfigurationError(
                f"simulated action: service={action.service!r} does not exist; use one of {', '.join(services)}"
            )
        if not 0 <= self.step_of(action) < self.config.steps:
            raise ConfigurationError(
                f"simulated action: at={action.at.isoformat()} must lie in the {self.config.hours:g} h of the simulation from "
                f"{self.config.start.isoformat()} on; change at"
            )


def cut(span: BlockSpan, offset: int, eras: Sequence[Era]) -> list[EraSpan]:
    """Return the parts of a span by era, in order; `offset` = step of the simulation at which the span's block begins."""
    ends = [*(era.first - offset for era in eras[1:]), span.stop]
    parts, first = [], span.first
    for number, end in enumerate(ends):
        stop = min(end, span.stop)
        if first < stop:
            parts.append(EraSpan(number, BlockSpan(span.block, first, stop)))
            first = stop
    return parts
