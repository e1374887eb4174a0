"""`aiops bench act`: simulated incidents that are acted on, beside doing nothing and one who knows cause and kind.

Alerts of a simple rule on the simulator's metrics; correlation, when and how incidents are explained, matching, planning, bounds,
execution and judgement are the product's, the runbooks its library. A simulated operator approves each plan after two minutes.
Each true incident has its own course; runs of one seed are counted together by one run log.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.automation.fact_values import callers_of
from aiops.automation.limits import SuiteLimits
from aiops.automation.memory_ledger import MemoryRunLedger
from aiops.automation.run import RunState
from aiops.automation.runbook_text import VersionedRunbook
from aiops.incidents.root_cause import RootCauseReport
from models.rca.grid import SeriesGrid
from orchestration.bench.simulated.act_cases import ActCase
from orchestration.bench.simulated.act_figures import (
    FAST_KINDS,
    ActFigures,
    IncidentResult,
    RunResult,
    bounds_exceeded,
    harm_ratio,
    kind_figures,
    median_of,
    ratio_of,
)
from orchestration.bench.simulated.act_incidents import Explained, OpenedIncident, course_at, explained, opened_incidents
from orchestration.bench.simulated.act_runs import APPROVES_AFTER, Clock, carried_out, firing_at, proposed
from orchestration.bench.simulated.act_world import SimulatedWorld, world_of
from orchestration.simulated_actions.acted_world import ActedWorld
from serving.automation.runbook_folder import LIBRARY, RunbookFolder

FIRST_SEED: Final = 4001
SEEDS: Final = 40


@dataclass(frozen=True, slots=True)
class ActConfig:
    """Seeds that are scored; nothing is fitted to any."""

    seeds: int = SEEDS
    first_seed: int = FIRST_SEED


def run(config: ActConfig, say: Callable[[str], None]) -> ActFigures:
    """Act on the incidents of each seed with the library's runbooks and return what came of it."""
    runbooks = RunbookFolder(LIBRARY).read().runbooks
    incidents: list[IncidentResult] = []
    runs: list[RunResult] = []
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        world = world_of(seed)
        cases = SeedRuns(world, runbooks, opened_incidents(world)).cases()
        incidents += [case.result() for case in cases if case.course is not None]
        incidents += _unalerted(world, cases)
        runs += [run for case in cases for run in case.runs]
        say(f"seed {seed}: {len(cases)} alarms, {sum(len(case.runs) for case in cases)} plans")
    return _figures(config, incidents, runs)


@dataclass(frozen=True, slots=True, eq=False)
class SeedRuns:
    """All that happens to the incidents of one seed: one run log counts the bounds of all its runs."""

    world: SimulatedWorld
    runbooks: Sequence[VersionedRunbook]
    opened: tuple[OpenedIncident, ...]
    ledger: MemoryRunLedger = field(default_factory=lambda: MemoryRunLedger(SuiteLimits()))
    reports: dict[str, list[Explained]] = field(default_factory=dict)

    def cases(self) -> list[ActCase]:
        """Act on each incident in the order in which they opened and return what came of each true one and false alarm."""
        cases: dict[object, ActCase] = {}
        for incident in self.opened:
            course = course_at(self.world, incident.opened_at)
            key = incident.incident_id if course is None else (course.incident.starts_s, course.incident.service)
            if key not in cases:
                simulation, clock = self.world.simulation, Clock(incident.opened_at)
                cases[key] = ActCase(simulation, course, incident.opened_at, ActedWorld(simulation, clock), clock)
            if not cases[key].is_over and self._still_opens(incident, cases[key]):
                self.act(incident, cases[key])
        return list(cases.values())

    def act(self, incident: OpenedIncident, case: ActCase) -> None:
        """Explain an incident, as often as the product does, until a runbook fits, and carry its plan out."""
        grid = self._grid(case)
        for at in incident.looks():
            case.clock.now = at
            known = explained(self.world, grid, self.opened, incident, at)
            if known is None:
                continue
            self.reports.setdefault(incident.incident_id, []).append(known)
            proposal = proposed(known, self._above(incident, known), self.runbooks, case.acted)
            if proposal is not None:
                before = case.acted.simulation
                case.note(proposal, carried_out(proposal, known, case.acted, case.clock, self.ledger), before)
                return

    def _grid(self, case: ActCase) -> SeriesGrid:
        """Return the telemetry of the world as the runs of a case have left it."""
        simulation = case.acted.simulation
        return SeriesGrid.of(pa.concat_tables(list(simulation.telemetry())), 60) if simulation.actions else self.world.grid

    def _still_opens(self, incident: OpenedIncident, case: ActCase) -> bool:
        """Return whether what has been done for a case leaves an alert of an incident firing when it would open."""
        if not case.acted.simulation.actions:
            return True
        firing = firing_at(case.acted.simulation, incident.opened_at)
        return any((entry.service, entry.name) in firing for entry in incident.history[0].incident.alerts)

    def _above(self, incident: OpenedIncident, known: Explained) -> tuple[str, ...]:
        """Return callers of a cause that are the cause of an incident that opened before and goes on."""
        if not known.report.causes:
            return ()
        causes = {
            report.causes[0].service
            for other in self.opened
            if other.opened_at < incident.opened_at and not other.has_ended(known.at)
            for report in self._report(other, known.at)
            if report.causes
        }
        return tuple(name for name in callers_of(known.ranker.graph, [known.report.causes[0].service]) if name in causes)

    def _report(self, incident: OpenedIncident, at: datetime) -> list[RootCauseReport]:
        """Return the newest report of an incident as of a time, in a list; none where there is none."""
        return [known.report for known in self.reports.get(incident.incident_id, []) if known.at <= at][-1:]


def _unalerted(world: SimulatedWorld, cases: Sequence[ActCase]) -> list[IncidentResult]:
    known = {case.course.incident for case in cases if case.course is not None}
    missed = [course for course in world.simulation.courses() if not course.incident.is_gray and course.incident not in known]
    return [IncidentResult(course.incident.kind, False, 0.0, 0.0, 0.0, 0.0, 0.0, False) for course in missed]


def _figures(config: ActConfig, incidents: Sequence[IncidentResult], runs: Sequence[RunResult]) -> ActFigures:
    acted = [run for run in runs if run.acted]
    wrong = [run for run in acted if run.wrong]
    fast = [result for result in incidents if result.kind in FAST_KINDS and result.alerted]
    return ActFigures(
        incidents=len(incidents),
        cured=sum(result.cured for result in incidents),
        median_time_ratio=median_of([ratio_of(result) for result in fast]),
        oracle_time_ratio=median_of([result.oracle_min / result.alone_min for result in fast]),
        harm_ratio=harm_ratio(fast),
        wrong_action_share=round(len(wrong) / max(1, len(acted)), 4),
        wrong_not_harmless=sum(run.state is not RunState.UNDONE and run.harm_min > 0 for run in wrong),
        bounds_exceeded=bounds_exceeded(runs),
        approvals_bypassed=sum(not run.approved for run in acted),
        actions_repeated=sum(run.actions > run.steps_ran for run in runs),
        plan_p99_s=round(float(np.quantile([run.plan_s for run in runs], 0.99)), 3) if runs else float("nan"),
        approves_after_s=APPROVES_AFTER.total_seconds(),
        seeds=f"simulator seeds {config.first_seed} to {config.first_seed + config.seeds - 1}, 72 h each",
        kinds=kind_figures(incidents, runs),
    )
