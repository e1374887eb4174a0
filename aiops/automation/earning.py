"""What a runbook has earned on a service: the right to run alone, by an exact lower bound of its rate of verified cures.

Source: Clopper, Pearson: The use of confidence or fiducial limits illustrated in the case of the binomial (Biometrika, 1934).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from scipy.special import betaincinv

from aiops.automation.action import Risk
from aiops.automation.plan import Plan
from aiops.automation.run import RunState

CONFIDENCE: Final = 0.95
MOST_RUNS: Final = 10_000
_DEMOTING: Final = frozenset({RunState.UNDONE, RunState.UNCLEAR, RunState.UNDO_FAILED})
_COUNTED: Final = _DEMOTING | {RunState.CURED, RunState.FAILED, RunState.STOPPED}


@dataclass(frozen=True, slots=True)
class EndedRun:
    """How a run that had begun to act ended; `actions`: the kinds of its steps, in order."""

    runbook: str
    service: str
    actions: tuple[str, ...]
    state: RunState
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """People want to approve each run of a runbook on a service."""

    runbook: str
    service: str
    by: str
    at: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a runbook with these actions has earned on a service: `cures` of `runs` since it was last undone or unclear.

    `lower`: lower 95 % bound of its rate of cures. `refusal`: why it may not run alone, "" = it may; of a list without a plan
    only what the counts and people say. `demoted_at`: when it last lost all of it.
    """

    runbook: str
    service: str
    actions: tuple[str, ...]
    cures: int
    runs: int
    lower: float
    refusal: str = ""
    demoted_at: datetime | None = None
    hold: Hold | None = None


def lower_bound(cures: int, runs: int) -> float:
    """Return the exact lower 95 % bound of a rate, one-sided.

    >>> round(lower_bound(14, 14), 4), round(lower_bound(13, 13), 4), lower_bound(0, 0)
    (0.8074, 0.7942, 0.0)
    """
    return float(betaincinv(cures, runs - cures + 1, 1.0 - CONFIDENCE)) if cures else 0.0


def runs_needed(cure_rate: float) -> int:
    """Return how many cures in a row reach a rate, at most `MOST_RUNS`.

    >>> runs_needed(0.8)
    14
    """
    return next((runs for runs in range(1, MOST_RUNS) if lower_bound(runs, runs) >= cure_rate), MOST_RUNS)


def standing_of(plan: Plan, ended: Iterable[EndedRun], hold: Hold | None) -> Standing:
    """Return what counts for a plan: runs of its runbook with the same kinds of actions on its service, `ended` oldest first."""
    actions = actions_of(plan)
    own = [run for run in ended if (run.runbook, run.service, run.actions) == (plan.runbook, plan.subject.service, actions)]
    counted = _counted(plan.runbook, plan.subject.service, actions, own, hold)
    return replace(counted, refusal=_refusal(plan, counted))


def standings_of(ended: Iterable[EndedRun], holds: Iterable[Hold]) -> tuple[Standing, ...]:
    """Return what each runbook has earned on each service, by name; `ended` the oldest first."""
    groups: dict[tuple[str, str, tuple[str, ...]], list[EndedRun]] = {}
    for run in ended:
        groups.setdefault((run.runbook, run.service, run.actions), []).append(run)
    held = {(hold.runbook, hold.service): hold for hold in holds}
    ran = {key[:2] for key in groups}
    groups |= {(*key, ()): [] for key in held if key not in ran}
    return tuple(_counted(*key, runs, held.get(key[:2])) for key, runs in sorted(groups.items()))


def actions_of(plan: Plan) -> tuple[str, ...]:
    """Return the kinds of a plan's steps, in order."""
    return tuple(step.action for step in plan.steps)


def _counted(runbook: str, service: str, actions: tuple[str, ...], ended: Iterable[EndedRun], hold: Hold | None) -> Standing:
    cures, runs, demoted_at = 0, 0, None
    for run in ended:
        if run.state in _DEMOTING:
            cures, runs, demoted_at = 0, 0, run.ended_at
        elif run.state in _COUNTED:
            cures, runs = cures + (run.state is RunState.CURED), runs + 1
    held = f"held back by {hold.by}" if hold is not None else ""
    return Standing(runbook, service, actions, cures, runs, lower_bound(cures, runs), held, demoted_at, hold)


def _refusal(plan: Plan, standing: Standing) -> str:
    earn = plan.terms.earn
    if earn is None:
        return "the runbook has no earn: a person approves each run"
    if standing.hold is not None:
        return standing.refusal
    for step in plan.steps:
        if step.risk is not Risk.LOW:
            return f"step {step.number} ({step.action}) is of {step.risk} risk: only low risk may run alone"
        if not step.undo:
            return f"step {step.number} ({step.action}) cannot be undone: only what can be may run alone"
    if standing.lower < earn.cure_rate:
        counts = f"{standing.cures} cures of {standing.runs} runs: lower 95 % bound {standing.lower:.2f}"
        return f"{counts}, needed {earn.cure_rate:g} ({runs_needed(earn.cure_rate)} of {runs_needed(earn.cure_rate)})"
    return ""
