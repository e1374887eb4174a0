"""Shadow runs act on what was known at the time, are judged by verdicts, and count what limits would have held back."""

from dataclasses import replace

import pytest

from aiops.automation.past_incidents import Judged, PastIncident, incident_as_of, judged
from aiops.automation.runbook_text import read_runbook
from aiops.automation.shadow import replayed
from aiops.incidents.incident import IncidentState, TimelineEvent
from aiops.incidents.verdict import Verdict, VerdictKind
from tests.testing.explained_incidents import at, cause, deployment, entry, incident, report
from tests.testing.runbook_texts import ROLL_BACK

RUNBOOK = read_runbook(ROLL_BACK, "rb.yaml")
UNSURE = report(cause("cart", 0.4), minute=1.0, decided=False)
SURE = report(minute=5.0)


def verdict(kind: VerdictKind, right_cause: str = "") -> Verdict:
    return Verdict("v", "inc-1", kind, at(60), "ops", right_cause)


def past(*verdicts: Verdict, minute: float = 0.0, incident_id: str = "inc-1") -> PastIncident:
    reports = tuple(replace(held, made_at=held.made_at + (at(minute) - at(0))) for held in (UNSURE, SURE))
    ended = TimelineEvent(at(minute + 30), "resolved", became=IncidentState.RESOLVED)
    return PastIncident(replace(incident(incident_id=incident_id), timeline=(ended,)), reports, verdicts)


@pytest.mark.parametrize(
    ("verdicts", "expected", "on_symptom"),
    [
        ([], Judged.UNJUDGED, Judged.UNJUDGED),
        ([verdict(VerdictKind.TRUE)], Judged.RIGHT, Judged.WRONG_SERVICE),
        ([verdict(VerdictKind.WRONG_CAUSE, "checkout")], Judged.WRONG_SERVICE, Judged.RIGHT),
        ([verdict(VerdictKind.WRONG_CAUSE)], Judged.UNJUDGED, Judged.UNJUDGED),
        ([verdict(VerdictKind.FALSE_ALARM)], Judged.FALSE_ALARM, Judged.FALSE_ALARM),
        ([verdict(VerdictKind.TRUE), verdict(VerdictKind.FALSE_ALARM)], Judged.FALSE_ALARM, Judged.FALSE_ALARM),
    ],
)
def test_an_action_is_judged_by_the_newest_verdict(verdicts: list[Verdict], expected: Judged, on_symptom: Judged) -> None:
    (action,) = replayed([RUNBOOK], [past(*verdicts)]).actions
    assert (action.service, action.judged, action.symptom_judged) == ("cart", expected, on_symptom)
    assert (action.at, action.before_end_s) == (at(5), 25 * 60.0)


def test_limits_hold_back_what_comes_too_soon() -> None:
    report_of_all = replayed([RUNBOOK], [past(minute=minute, incident_id=f"i{minute}") for minute in (0, 5, 20, 40, 200)])
    assert [action.held_back for action in report_of_all.actions] == ["", "limits.cool_down", "", "limits.per_hour", ""]
    (summary,) = report_of_all.summaries
    assert (summary.incidents, summary.acted, summary.held_back, summary.unjudged) == (5, 3, 2, 3)


def test_a_runbook_that_fits_nothing_has_its_line() -> None:
    never = read_runbook(ROLL_BACK.replace("cause.decided", "incident.storm"), "rb.yaml")
    (summary,) = replayed([never], [past()]).summaries
    assert (summary.incidents, summary.acted, summary.median_before_end_s) == (1, 0, None)


def test_an_incident_as_of_a_time_holds_nothing_later() -> None:
    later = entry("mail", minute=9.0)
    whole = replace(incident(entry("checkout"), later), timeline=(TimelineEvent(at(8), "x", became=IncidentState.RESOLVED),))
    then = incident_as_of(whole, at(5))
    assert (then.services, then.state, len(then.alerts)) == (("checkout",), IncidentState.OPEN, 1)
    assert max(then.alerts[0].first_seen, then.alerts[0].last_seen, then.updated_at) <= at(5)
    assert incident_as_of(whole, at(20)).services == ("checkout", "mail")


def test_what_comes_after_a_verdict_does_not_change_what_it_confirmed() -> None:
    early = Verdict("v", "inc-1", VerdictKind.TRUE, at(2), "ops")
    assert judged(past(early), "cart") is Judged.RIGHT
    changed = PastIncident(incident(), (UNSURE, report(cause("mail", 0.9, deployment("mail")), minute=5.0)), (early,))
    assert judged(changed, "mail") is Judged.WRONG_SERVICE
