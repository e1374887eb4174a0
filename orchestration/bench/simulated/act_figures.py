"""What acting on simulated incidents is worth: cured, time to the cure against doing nothing, and what was done wrongly."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from aiops.automation.run import RunState
from aiops.automation.runbook import Limits

NOTHING = "none"
FAST_KINDS = ("memory_leak", "connection_exhaustion", "disk_fill", "bad_deployment")
"""Foreseeable kinds and deployments: those that the target is for."""


@dataclass(frozen=True, slots=True)
class IncidentResult:
    """One true incident; minutes from its first alert to the end of its harm: alone, acted on, and by one who knows all.

    `harm_alone_min`, `harm_acted_min`: minutes of harm after the alert, which an action that only puts it off lessens, too.
    `alerted` False = nobody was alerted while it lasted.
    """

    kind: str
    alerted: bool
    alone_min: float
    acted_min: float
    oracle_min: float
    harm_alone_min: float
    harm_acted_min: float
    cured: bool


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run that a person approved; `wrong` = it acted on a service that was not the cause; `harm_min` = harm added."""

    kind: str
    runbook: str
    state: RunState
    acted: bool
    wrong: bool
    harm_min: float
    actions: int
    steps_ran: int
    plan_s: float
    seed: int
    service: str
    began_at: datetime | None
    limits: Limits
    approved: bool


@dataclass(frozen=True, slots=True)
class KindFigures:
    """One kind of incident; "none" = false alarms. Times: medians, minutes from the alert to the end of the harm."""

    kind: str
    incidents: int
    alerted: int
    cured: int
    alone_min: float
    acted_min: float
    time_ratio: float
    oracle_ratio: float
    harm_ratio: float
    runs: int
    wrong_actions: int
    undone: int
    unclear: int
    refused: int
    pages: int


@dataclass(frozen=True, slots=True)
class ActFigures:
    """The whole bench. Ratios: time from the alert to mitigated over that without action, medians over FAST_KINDS."""

    incidents: int
    cured: int
    median_time_ratio: float
    oracle_time_ratio: float
    harm_ratio: float
    wrong_action_share: float
    wrong_not_harmless: int
    bounds_exceeded: int
    approvals_bypassed: int
    actions_repeated: int
    plan_p99_s: float
    approves_after_s: float
    seeds: str
    kinds: tuple[KindFigures, ...]


def bounds_exceeded(runs: Sequence[RunResult]) -> int:
    """Return how many runs began although their runbook's rates or cool-down did not allow it; counted anew from what ran."""
    return sum(_exceeds(run, runs) for run in runs if run.began_at is not None)


def _exceeds(run: RunResult, runs: Sequence[RunResult]) -> bool:
    at, limits = run.began_at, run.limits
    assert at is not None
    earlier = [other for other in runs if other is not run and other.seed == run.seed and other.began_at and other.began_at <= at]
    own = [other.began_at for other in earlier if other.runbook == run.runbook and other.began_at]
    on_service = [other.began_at for other in earlier if other.service == run.service and other.began_at]
    hour = sum(at - began < timedelta(hours=1) for began in own)
    day = sum(at - began < timedelta(days=1) for began in own)
    rested = all(at - began >= timedelta(seconds=limits.cool_down) for began in on_service)
    return hour >= limits.per_hour or day >= limits.per_day or not rested


def ratio_of(result: IncidentResult) -> float:
    """Return the share of the time without action that an incident took after its alert."""
    return result.acted_min / result.alone_min


def harm_ratio(incidents: Sequence[IncidentResult]) -> float:
    """Return the minutes of harm after the alerts, all together, over those without action."""
    alone = sum(result.harm_alone_min for result in incidents)
    return round(sum(result.harm_acted_min for result in incidents) / alone, 3) if alone else float("nan")


def kind_figures(incidents: Sequence[IncidentResult], runs: Sequence[RunResult]) -> tuple[KindFigures, ...]:
    """Return the figures of each kind that occurs."""
    kinds = sorted({result.kind for result in incidents} | {run.kind for run in runs})
    return tuple(_of_kind(kind, [i for i in incidents if i.kind == kind], [r for r in runs if r.kind == kind]) for kind in kinds)


def _of_kind(kind: str, incidents: Sequence[IncidentResult], runs: Sequence[RunResult]) -> KindFigures:
    alerted = [result for result in incidents if result.alerted]
    acted = [run for run in runs if run.acted]
    states = [run.state for run in runs]
    bad = (RunState.UNCLEAR, RunState.UNDO_FAILED, RunState.FAILED, RunState.UNDONE)
    return KindFigures(
        kind,
        len(incidents),
        len(alerted),
        sum(result.cured for result in incidents),
        median_of([result.alone_min for result in alerted]),
        median_of([result.acted_min for result in alerted]),
        median_of([ratio_of(result) for result in alerted]),
        median_of([result.oracle_min / result.alone_min for result in alerted]),
        harm_ratio(alerted),
        len(acted),
        sum(run.wrong for run in acted),
        states.count(RunState.UNDONE),
        states.count(RunState.UNCLEAR),
        states.count(RunState.REFUSED),
        len(alerted) + sum(state in bad for state in states),
    )


def median_of(values: Sequence[float]) -> float:
    """Return the median to three digits, NaN of nothing."""
    return round(median(values), 3) if values else float("nan")
