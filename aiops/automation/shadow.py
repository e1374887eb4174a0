"""Shadow runs: what runbooks would have done in past incidents, without doing it; each analysis is read as of when it was made.

Only `match`, the target and the limits are replayed: how targets were at that time, which `needs` ask for, nobody has stored.
"""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from aiops.automation.fact_names import IncidentView
from aiops.automation.fact_values import match_facts
from aiops.automation.matching import match_of
from aiops.automation.past_incidents import Judged, PastIncident, incident_as_of, judged
from aiops.automation.runbook_text import VersionedRunbook


@dataclass(frozen=True, slots=True)
class ShadowAction:
    """What a runbook would have done in an incident. `before_end_s`: seconds before the incident ended, None = not known.

    `held_back` names the limit that would have held it back, "" = none. `symptom_judged`: what the same action would have been on
    the service where it showed, the trivial choice.
    """

    incident_id: str
    runbook: str
    version: str
    at: datetime
    service: str
    judged: Judged
    symptom_judged: Judged
    before_end_s: float | None
    held_back: str = ""


@dataclass(frozen=True, slots=True)
class ShadowSummary:
    """One runbook over all incidents; counts are of actions that no limit would have held back.

    `right_on_symptom`: how often the trivial choice would have been right. `median_before_end_s` None = none of them has ended.
    """

    runbook: str
    version: str
    incidents: int
    acted: int
    right: int
    wrong_service: int
    false_alarms: int
    unjudged: int
    right_on_symptom: int
    held_back: int
    median_before_end_s: float | None


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What would have been done, in order of time, and each runbook in one line."""

    actions: tuple[ShadowAction, ...]
    summaries: tuple[ShadowSummary, ...]


def replayed(runbooks: Sequence[VersionedRunbook], past: Sequence[PastIncident]) -> ShadowReport:
    """Return what runbooks would have done; O(runbooks x analyses)."""
    actions: list[ShadowAction] = []
    summaries = []
    for runbook in runbooks:
        own = _with_limits(runbook, sorted(_actions(runbook, past), key=lambda action: (action.at, action.incident_id)))
        actions += own
        summaries.append(_summary(runbook, own, len(past)))
    return ShadowReport(
        tuple(sorted(actions, key=lambda action: (action.at, action.incident_id, action.runbook))), tuple(summaries)
    )


def _actions(runbook: VersionedRunbook, past: Iterable[PastIncident]) -> Iterator[ShadowAction]:
    """Yield what a runbook would have done, once an incident, at the first analysis that it fits."""
    for former in past:
        for report in former.reports:
            view = IncidentView(incident_as_of(former.incident, report.made_at), report, report.made_at)
            match = match_of(runbook, match_facts(view))
            if match.fits:
                ended = former.ended_at
                yield ShadowAction(
                    former.incident.incident_id,
                    runbook.name,
                    runbook.version,
                    report.made_at,
                    match.service,
                    judged(former, match.service),
                    judged(former, view.symptom),
                    None if ended is None else (ended - report.made_at).total_seconds(),
                )
                break


def _with_limits(runbook: VersionedRunbook, actions: Iterable[ShadowAction]) -> list[ShadowAction]:
    """Return actions in order of time, those marked that a limit of the runbook itself would have held back."""
    done: list[ShadowAction] = []
    for action in actions:
        begun = [other for other in done if not other.held_back]
        done.append(_held(action, _limit_reached(runbook, action, begun)))
    return done


def _limit_reached(runbook: VersionedRunbook, action: ShadowAction, begun: Sequence[ShadowAction]) -> str:
    limits = runbook.runbook.limits
    for name, most, hours in (("per_hour", limits.per_hour, 1), ("per_day", limits.per_day, 24)):
        if sum(action.at - other.at < timedelta(hours=hours) for other in begun) >= most:
            return f"limits.{name}"
    since = timedelta(seconds=limits.cool_down)
    recent = any(other.service == action.service and action.at - other.at < since for other in begun)
    return "limits.cool_down" if recent else ""


def _held(action: ShadowAction, limit: str) -> ShadowAction:
    return replace(action, held_back=limit)


def _summary(runbook: VersionedRunbook, actions: Sequence[ShadowAction], incidents: int) -> ShadowSummary:
    acted = [action for action in actions if not action.held_back]
    early = [action.before_end_s for action in acted if action.before_end_s is not None]

    def count(kind: Judged) -> int:
        return sum(action.judged is kind for action in acted)

    return ShadowSummary(
        runbook.name,
        runbook.version,
        incidents,
        len(acted),
        count(Judged.RIGHT),
        count(Judged.WRONG_SERVICE),
        count(Judged.FALSE_ALARM),
        count(Judged.UNJUDGED),
        sum(action.symptom_judged is Judged.RIGHT for action in acted),
        len(actions) - len(acted),
        statistics.median(early) if early else None,
    )
