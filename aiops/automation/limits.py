"""How much may be done: what speaks against letting a plan act, given the runs so far. Counting is all that happens here."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import floor
from typing import Final

from aiops.automation.plan import Plan

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_LONGEST_S: Final = 366 * 86_400.0
"""A longer cool-down counts as a year."""
_ROUNDING: Final = 1e-9
"""Shares are quotients of small numbers: 1/3 of 3 is one."""


@dataclass(frozen=True, slots=True)
class SuiteLimits:
    """What all runbooks together may do: runs begun in an hour and in a day, share of an application's services at once.

    Of a small application one service may always be acted on.
    """

    per_hour: int = 6
    per_day: int = 20
    application_share: float = 0.34


@dataclass(frozen=True, slots=True)
class BegunRun:
    """A run that has begun to act: on whom, when, and until when; `ended_at` None = it still does."""

    run_id: str
    runbook: str
    services: tuple[str, ...]
    targets: tuple[str, ...]
    began_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What counts for one plan at `at`: `begun` are all runs that act, or began or ended since `since_of(plan, at)`.

    `application`: the services of the applications of those acted on, by the call graph; empty = it is not known.
    """

    at: datetime
    begun: Sequence[BegunRun]
    suite: SuiteLimits
    application: frozenset[str] = frozenset()


def since_of(plan: Plan, at: datetime) -> datetime:
    """Return how far back runs count for a plan."""
    return at - max(_DAY, _cool_down(plan))


def limit_refusals(plan: Plan, bounds: Bounds) -> tuple[str, ...]:
    """Return what speaks against letting a plan act now, in words; none = nothing. O(runs)."""
    return (*_of_run(plan), *_of_runbook(plan, bounds), *_of_services(plan, bounds), *_of_suite(plan, bounds))


def rates_left(plan: Plan, bounds: Bounds) -> int:
    """Return how many further runs of this runbook the rates allow now."""
    own = [run for run in bounds.begun if run.runbook == plan.runbook]
    limits, suite = plan.terms.limits, bounds.suite
    left = (
        limits.per_hour - _since(own, bounds.at - _HOUR),
        limits.per_day - _since(own, bounds.at - _DAY),
        suite.per_hour - _since(bounds.begun, bounds.at - _HOUR),
        suite.per_day - _since(bounds.begun, bounds.at - _DAY),
    )
    return max(0, min(left))


def _of_run(plan: Plan) -> Iterable[str]:
    limits = plan.terms.limits
    if len(plan.services) > limits.services:
        yield f"services={len(plan.services)}: one run may act on {limits.services} (limits.services of {plan.runbook})"
    for step in plan.steps:
        if not 0.0 <= step.replica_share <= limits.replica_share + _ROUNDING:
            share = f"step {step.number} on {step.service}: replica_share={step.replica_share:.2f}"
            yield f"{share}: at most {limits.replica_share:.2f} at once (limits.replica_share of {plan.runbook})"


def _of_runbook(plan: Plan, bounds: Bounds) -> Iterable[str]:
    own = [run for run in bounds.begun if run.runbook == plan.runbook]
    limits = plan.terms.limits
    yield from _rate(f"runs of {plan.runbook}", own, bounds.at, limits.per_hour, limits.per_day)


def _of_suite(plan: Plan, bounds: Bounds) -> Iterable[str]:
    yield from _rate("runs of all runbooks", bounds.begun, bounds.at, bounds.suite.per_hour, bounds.suite.per_day)
    acting = {service for run in bounds.begun if run.ended_at is None for service in run.services}
    at_once = (acting | set(plan.services)) & (bounds.application | set(plan.services))
    most = _most_of(bounds.application | set(plan.services), bounds.suite.application_share)
    if len(at_once) > most:
        size = len(bounds.application | set(plan.services))
        yield f"{len(at_once)} of {size} services of the application would be acted on at once: at most {most}"


def _most_of(services: Collection[str], share: float) -> int:
    return max(1, floor(share * len(services) + _ROUNDING))


def _of_services(plan: Plan, bounds: Bounds) -> Iterable[str]:
    services, targets = set(plan.services), set(plan.targets)
    cool_down = _cool_down(plan)
    for run in bounds.begun:
        taken = sorted(services & set(run.services)) or sorted(targets & set(run.targets))
        if not taken:
            continue
        if run.ended_at is None:
            yield f"{taken[0]}: run {run.run_id} ({run.runbook}) acts on it now"
        elif services & set(run.services) and bounds.at - run.ended_at < cool_down:
            wait_s = (cool_down - (bounds.at - run.ended_at)).total_seconds()
            yield f"{taken[0]}: run {run.run_id} ended {_ago(bounds.at - run.ended_at)} ago; cool_down lasts {wait_s:.0f} s more"


def _cool_down(plan: Plan) -> timedelta:
    return timedelta(seconds=min(plan.terms.limits.cool_down, _LONGEST_S))


def _rate(what: str, runs: Sequence[BegunRun], at: datetime, per_hour: int, per_day: int) -> Iterable[str]:
    for span, most, name in ((_HOUR, per_hour, "hour"), (_DAY, per_day, "day")):
        count = _since(runs, at - span)
        if count >= most:
            yield f"{what} in the last {name}: {count}, at most {most}"


def _since(runs: Iterable[BegunRun], since: datetime) -> int:
    return sum(run.began_at > since for run in runs)


def _ago(span: timedelta) -> str:
    return f"{span.total_seconds():.0f} s"
