"""When incidents are explained, which one first, and that a failing analysis costs nothing but itself."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiops.errors import StateError
from aiops.incidents.alert import Alert, Severity, fingerprint_of
from aiops.incidents.incident import AlertEntry, Incident, IncidentState
from aiops.incidents.root_cause import RootCause, RootCauseReport
from aiops.settings.responder_settings import ResponderSettings
from aiops.topology.graph import ServiceGraph
from serving.incidents.desk.analyses import Analyses, AnalysisParts
from serving.incidents.desk.analysis_times import AnalysisTimes
from serving.incidents.desk.desk import Desk
from serving.incidents.desk.desk_metrics import ResponderMetrics
from serving.incidents.desk.desk_transaction import Audience
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import MessageKind
from tests.testing.empty_store import empty_store

START = datetime(2026, 3, 2, tzinfo=UTC)
AUDIENCE = Audience(("webhook",), "http://responder")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def incident(number: str = "inc-1", opened_s: float = 0, severity: Severity = Severity.WARNING) -> Incident:
    opened = at(opened_s)
    return Incident(number, IncidentState.OPEN, severity, opened, opened, "cart", ("cart",), (), 1, ())


def explained(times: AnalysisTimes, until_s: int) -> list[int]:
    """Return at which seconds something was due, done at once each time."""
    explained_at = []
    for second in range(until_s):
        due = times.due(at(second))
        if due is not None:
            assert due.at == at(second)
            explained_at.append(second)
            times.done(due.incident, due.at)
    return explained_at


def test_at_opening_then_after_half_a_minute_two_and_while_it_goes_on_each_five_for_two_hours() -> None:
    times = AnalysisTimes()
    times.see([incident()])
    assert explained(times, 9000) == [0, 30, 120, *range(300, 7201, 300)]


def test_what_is_mitigated_is_explained_after_twenty_and_thirty_minutes_only() -> None:
    times = AnalysisTimes()
    times.see([replace(incident(), state=IncidentState.MITIGATED)])
    assert explained(times, 4000) == [0, 30, 120, 300, 1200, 1800]


def test_what_goes_on_is_looked_at_again_once_nothing_else_waits() -> None:
    times = AnalysisTimes()
    times.see([incident("inc-1", severity=Severity.CRITICAL), incident("inc-2")])
    times.done(incident("inc-1"), at(301))
    times.see([incident("inc-3", 600)])
    order = []
    while (due := times.due(at(700))) is not None:
        order.append(due.incident.incident_id)
        times.done(due.incident, due.at)
    assert order == ["inc-2", "inc-3", "inc-1"]


def test_what_was_resolved_is_explained_after_twenty_and_thirty_minutes_too_then_forgotten() -> None:
    times = AnalysisTimes()
    times.see([incident("inc-1"), incident("inc-2")])
    for number in ("inc-1", "inc-2"):
        times.done(incident(number), at(10))
    times.see([replace(incident("inc-1"), state=IncidentState.RESOLVED), replace(incident("inc-2"), state=IncidentState.MERGED)])
    assert explained(times, 1500) == [1200]
    assert len(times) == 1
    assert explained(times, 4000) == [1800]
    assert len(times) == 0


def worse(incident: Incident, second: float) -> Incident:
    """Return an incident whose first critical alert came at a second."""
    entry = AlertEntry("f", "cart", "Slow", Severity.CRITICAL, at(second), at(second))
    return replace(incident, severity=Severity.CRITICAL, alerts=(*incident.alerts, entry))


def test_again_when_it_becomes_worse_for_what_was_foreseen_may_begin_an_hour_later() -> None:
    times = AnalysisTimes()
    times.see([incident()])
    assert explained(times, 1000)[-1] == 900
    times.see([worse(incident(), 3600)])
    explained_at = []
    for second in range(3600, 4600):
        due = times.due(at(second))
        if due is not None:
            explained_at.append(second)
            times.done(due.incident, due.at)
    assert explained_at == [3600, 3630, 3720, 3900, 4200, 4500]


def test_an_incident_closed_before_its_worst_was_explained_is_explained_once_more_as_of_then() -> None:
    times = AnalysisTimes()
    times.see([incident()])
    times.done(incident(), at(10))
    times.see([replace(worse(incident(), 3600), state=IncidentState.RESOLVED)])
    due = times.due(at(9000))
    assert due is not None
    assert due.at == at(5400)
    times.done(due.incident, due.at)
    assert times.due(at(9000)) is None


def test_again_when_services_change_but_not_with_each_change_of_a_storm() -> None:
    times = AnalysisTimes()
    times.see([incident()])
    times.done(incident(), at(301))
    explained_at = []
    for second in range(302, 362):
        times.see([replace(incident(), services=("cart", *(f"s{count}" for count in range(min(second, 330) - 301))))])
        due = times.due(at(second))
        if due is not None:
            assert due.at == at(second)
            explained_at.append(second)
            times.done(due.incident, due.at)
    assert explained_at == [316, 331]


def test_a_late_incident_is_explained_once_as_of_the_last_time_a_closed_incident_after_the_open_ones() -> None:
    times = AnalysisTimes()
    times.see([incident(f"inc-{number}") for number in range(5)])
    times.done(incident("inc-1"), at(10))
    times.see([replace(incident(f"inc-{number}"), state=IncidentState.RESOLVED) for number in (1, 2)])
    times.see([replace(incident("inc-3"), state=IncidentState.MERGED)])
    explained_at = []
    while (due := times.due(at(5000))) is not None:
        explained_at.append((due.incident.incident_id, due.at))
        times.done(due.incident, due.at)
    watched = [("inc-0", at(5000)), ("inc-4", at(5000))]
    assert explained_at == [("inc-0", at(1800)), ("inc-4", at(1800)), ("inc-2", at(1800)), ("inc-1", at(1800)), *watched]
    assert times.waiting(at(5001)) == 0
    assert times.keep(frozenset({"inc-9"})) == {"inc-9"}
    assert len(times) == 0


@pytest.mark.parametrize(("now", "again"), [(2500, 2500), (90_000, 2700)])
def test_services_that_joined_after_a_late_analysis_s_time_ask_for_another(now: float, again: float) -> None:
    entries = tuple(
        AlertEntry(name, name, "Slow", Severity.WARNING, at(second), at(second)) for name, second in (("cart", 0), ("db", 2400))
    )
    times = AnalysisTimes()
    times.see([replace(incident(), services=("cart", "db"), alerts=entries)])
    explained_at = []
    while (due := times.due(at(now))) is not None:
        explained_at.append(due.at)
        times.done(due.incident, due.at)
    assert explained_at == [at(1800), at(again)]


def test_the_worst_first_then_what_was_never_explained_then_the_oldest() -> None:
    times = AnalysisTimes()
    times.see([incident("inc-1"), incident("inc-2", 10), incident("inc-3", 20, Severity.CRITICAL)])
    times.done(incident("inc-1"), at(0))
    order = []
    while (due := times.due(at(40))) is not None:
        order.append(due.incident.incident_id)
        times.done(due.incident, at(40))
    assert order == ["inc-3", "inc-2", "inc-1"]


class FakeAnalyst:
    """An analyst who fails as often as told, then names the incident's first service."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.asked: list[tuple[str, Mapping[str, float]]] = []

    def explain(
        self, incident: Incident, moment: datetime, priors: Mapping[str, float], masked: Iterable[tuple[datetime, datetime]] = ()
    ) -> RootCauseReport:
        self.asked.append((incident.incident_id, priors))
        assert list(masked) == []
        if self.failures:
            self.failures -= 1
            raise StateError("the lake is damaged")
        cause = RootCause(incident.anchor, 0.9, f"{incident.anchor} is slow")
        return RootCauseReport(moment, moment, moment, incident.anchor, (cause,), True, cause.sentence)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[IncidentStore]:
    with empty_store(tmp_path) as opened:
        yield opened


def alert(second: float, service: str) -> Alert:
    labels = {"service": service}
    return Alert(f"{service}-{second}", fingerprint_of(labels), service, "slow", Severity.CRITICAL, at(second), labels=labels)


def analyses_of(store: IncidentStore, analyst: FakeAnalyst, now_s: list[float]) -> tuple[Analyses, ResponderMetrics]:
    metrics = ResponderMetrics()
    return Analyses(AnalysisParts(store, analyst, AUDIENCE, metrics, lambda: at(now_s[0]))), metrics


def test_a_failed_analysis_is_tried_again_at_the_next_time_and_the_first_decided_analysis_is_notified(
    store: IncidentStore,
) -> None:
    desk = Desk(store, ResponderSettings(clock="event"), ServiceGraph.from_pairs([]), AUDIENCE)
    analyst, now_s = FakeAnalyst(failures=1), [10.0]
    analyses, metrics = analyses_of(store, analyst, now_s)
    with store.writing() as writer:
        writer.note("priors", {"cart": 1.5})
    step = desk.take([alert(0, "cart")], {}, at(10))
    analyses.see(step)
    (number,) = step.open_ids
    assert [analyses.explain_next(), analyses.explain_next()] == [True, False]
    assert store.reports(number) == ()
    for now_s[0] in (30.0, 120.0):
        assert analyses.explain_next()
    assert [report.made_at for report in store.reports(number)] == [at(30), at(120)]
    assert analyst.asked[0] == (number, {"cart": 1.5})
    kinds = [message.kind for message in store.messages(number)]
    assert kinds == [MessageKind.PAGE, MessageKind.UPDATE]
    assert metrics.registry.get_sample_value("aiops_rca_total", {"tenant": "default", "outcome": "failed"}) == 1
    assert [event.kind for event in store.events_after(0, 100)].count("root_cause") == 2


def test_incidents_of_before_and_of_other_processes_are_explained_too(store: IncidentStore) -> None:
    settings, graph = ResponderSettings(clock="event"), ServiceGraph.from_pairs([])
    step = Desk(store, settings, graph).take([alert(0, "cart")], {}, at(10))
    analyst, now_s = FakeAnalyst(), [40.0]
    first, _ = analyses_of(store, analyst, now_s)
    first.see(step)
    assert first.explain_next()
    second, _ = analyses_of(store, analyst, now_s)
    second.see(Desk(store, settings, graph).tick(at(40)))
    assert not second.explain_next()
    now_s[0] = 130.0
    assert second.explain_next()
    assert len(analyst.asked) == 2
