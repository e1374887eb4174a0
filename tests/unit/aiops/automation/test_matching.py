"""Which runbooks fit, in which order, and why the others do not."""

from aiops.automation.fact_names import IncidentView
from aiops.automation.fact_values import match_facts
from aiops.automation.matching import match_of, matches
from aiops.automation.runbook_text import VersionedRunbook, read_runbook
from tests.testing.explained_incidents import at, incident, view
from tests.testing.runbook_texts import ROLL_BACK


def named(name: str, match: str, target: str = "cause") -> VersionedRunbook:
    text = f"runbook: {name}\ntitle: x\nmatch: {match}\ntarget: {{service: '{target}'}}\ndo: [{{action: a.b}}]\n"
    return read_runbook(text, name)


def test_those_that_fit_come_first_and_of_them_the_one_that_asks_for_most() -> None:
    books = [named("a", "cause.decided"), named("b", "incident.storm"), read_runbook(ROLL_BACK, "rb")]
    ordered = matches(books, match_facts(view()))
    assert [(match.runbook.name, match.fits, match.service) for match in ordered] == [
        ("roll-back", True, "cart"),
        ("a", True, "cart"),
        ("b", False, "cart"),
    ]
    assert [part.text for part in ordered[-1].failed] == ["incident.storm"]


def test_a_runbook_without_a_target_does_not_fit() -> None:
    facts = match_facts(IncidentView(incident(), None, at(1)))
    match = match_of(named("a", "incident.firing > 0"), facts)
    assert not match.fits
    assert match.failed[0].sentence.startswith("target.service: cause is not known: cause.service is not known")
    assert match_of(named("a", "incident.firing > 0", "symptom"), facts).service == "checkout"
    assert match_of(named("a", "incident.firing > 0", "name:mail"), facts).service == "mail"
