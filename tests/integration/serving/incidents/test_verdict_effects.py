"""A verdict on an incident: what it changes in store, desk and lake, what was foretold of it, and what a crash leaves."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from aiops.errors import ContractError
from aiops.incidents.feedback.facts import Judged
from aiops.incidents.feedback.verdict_effects import first_cause
from aiops.incidents.verdict import Verdict, VerdictKind
from serving.incidents.desk import feedback, incident_facts
from serving.incidents.desk.desk import Desk
from serving.incidents.desk.desk_transaction import DeskTransaction
from serving.incidents.desk.detection_alerts import AlertRules
from serving.incidents.desk.verdict_draft import VerdictDraft, verdict_of
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import PageRequest
from tests.testing.incident_home import METRIC, SERVICES, START, JudgedHome, ServiceScore

TRUE, FALSE, WRONG, DUPLICATE = VerdictKind.TRUE, VerdictKind.FALSE_ALARM, VerdictKind.WRONG_CAUSE, VerdictKind.DUPLICATE


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[JudgedHome]:
    home = JudgedHome(tmp_path)
    yield home
    home.store.close()


def apply(home: JudgedHome, incident_id: str, kind: VerdictKind, **parts: str) -> object:
    return feedback.apply(home.store, home.desk, home.lake, home.verdict(incident_id, kind, **parts))


def rules(home: JudgedHome) -> AlertRules:
    return AlertRules(thresholds=feedback.lessons_in_force(home.store).thresholds)


def test_a_false_alarm_raises_the_series_and_what_was_foretold_comes_true(judged: JudgedHome) -> None:
    (noisy,) = judged.detect(ServiceScore("mail", 0.52), ServiceScore("mail", 0.51))
    judged.detect(ServiceScore("mail", 0.54))
    judged.detect(ServiceScore("mail", 0.54), ServiceScore("alone", 0.6))
    judged.detect(ServiceScore("mail", 0.97))
    verdict = judged.verdict(noisy, FALSE)
    preview = feedback.preview(judged.store, judged.lake, verdict, judged.now)
    assert feedback.lessons_in_force(judged.store).thresholds == {}, "a preview writes nothing"
    assert judged.store.verdicts() == ()
    effect = feedback.apply(judged.store, judged.desk, judged.lake, verdict)
    assert effect == preview.effect
    assert [(threshold.name, threshold.before, threshold.after) for threshold in effect.thresholds] == [
        (f"mail|{METRIC}", 0.5, 0.55)
    ]
    assert (preview.alerts_dropped, preview.alerts_added, len(preview.unopened)) == (4, 0, 3)
    assert "4 alerts would not have been raised" in " ".join(preview.sentences)
    again = [judged.detect(*item, rules=rules(judged)) for item in ([ServiceScore("mail", 0.54)], [ServiceScore("mail", 0.97)])]
    assert [len(opened) for opened in again] == [0, 1], "the same again opens what was foretold"


def test_labels_reach_the_lake_and_a_correction_takes_them_back(judged: JudgedHome) -> None:
    (incident,) = judged.detect(ServiceScore("web", 0.9), ServiceScore("cart", 0.8))
    judged.explain(incident, ServiceScore("cart", 2.0), ServiceScore("web", 1.0))
    apply(judged, incident, TRUE)
    (label,) = judged.lake.read("incidents").to_pylist()
    assert (label["service"], label["kind"], label["known_at"]) == ("cart", "verdict", judged.now)
    assert label["onset_at"] <= label["starts_at"] == START < label["ends_at"]
    assert judged.lake.read("verdicts")["right"].to_pylist() == [True, True]
    apply(judged, incident, WRONG, right="db")
    assert judged.lake.read("incidents")["service"].to_pylist() == ["db"]
    apply(judged, incident, FALSE)
    assert judged.lake.read("incidents").num_rows == 0
    assert judged.lake.read("verdicts")["right"].to_pylist() == [False, False]
    assert dict(feedback.priors_in_force(judged.store)) == {}, "a false alarm has no cause, right or wrong"
    lines = judged.store.audit(PageRequest()).items
    assert [line.detail["kind"] for line in lines if line.what == "verdict"] == ["false_alarm", "wrong_cause", "true"]
    assert judged.store.verify_audit().intact


def test_a_correction_counts_while_the_desk_s_time_stands_still(judged: JudgedHome) -> None:
    (incident,) = judged.detect(ServiceScore("web", 0.9), ServiceScore("cart", 0.8))
    judged.explain(incident, ServiceScore("cart", 2.0), ServiceScore("web", 1.0))
    for kind, expected in ((TRUE, 1), (FALSE, 0), (TRUE, 1), (FALSE, 0)):
        given = verdict_of(judged.store, VerdictDraft(incident, kind), judged.now, "test", SERVICES)
        feedback.apply(judged.store, judged.desk, judged.lake, given)
        assert judged.lake.read("incidents").num_rows == expected
        assert given == verdict_of(judged.store, VerdictDraft(incident, kind), judged.now, "test", SERVICES), "a repeat"


def test_a_wrong_cause_moves_the_rankings_that_were_foretold(judged: JudgedHome) -> None:
    ids = [judged.detect(ServiceScore("web", 0.9), ServiceScore("cart", 0.8))[0] for _ in range(2)]
    judged.explain(ids[0], ServiceScore("web", 1.0), ServiceScore("cart", 0.5))
    judged.explain(ids[1], ServiceScore("web", 1.0), ServiceScore("cart", 0.7))
    verdict = judged.verdict(ids[0], WRONG, right="cart")
    preview = feedback.preview(judged.store, judged.lake, verdict, judged.now)
    assert [(ranking.incident_id, ranking.before, ranking.after) for ranking in preview.rankings] == [(ids[1], "web", "cart")]
    assert feedback.apply(judged.store, judged.desk, judged.lake, verdict).priors == preview.effect.priors
    priors = feedback.priors_in_force(judged.store)
    assert priors == pytest.approx({"cart": 0.2231, "web": -0.2231}, abs=1e-4)
    assert [first_cause(judged.store.reports(item)[-1].causes, priors) for item in ids] == ["web", "cart"]


def test_duplicates_come_together_and_unrelated_services_part(judged: JudgedHome) -> None:
    first, second = judged.detect(ServiceScore("alone", 0.9), ServiceScore("mail", 0.9))
    (third,) = judged.detect(ServiceScore("bank", 0.9), ServiceScore("ledger", 0.9))
    apply(judged, second, DUPLICATE, of=first)
    apply(judged, third, TRUE, apart="ledger")
    assert feedback.lessons_in_force(judged.store).pairs == {("alone", "mail"): (1, 0), ("bank", "ledger"): (0, 1)}
    assert judged.lake.read("incidents")["incident_id"].to_pylist() == [third], "the other one has the label"
    assert len(judged.detect(ServiceScore("alone", 0.9), ServiceScore("mail", 0.9))) == 1
    assert len(judged.detect(ServiceScore("bank", 0.9), ServiceScore("ledger", 0.9))) == 2
    apply(judged, second, TRUE)
    assert ("alone", "mail") not in feedback.lessons_in_force(judged.store).pairs
    ids = judged.detect(ServiceScore("alone", 0.9), ServiceScore("mail", 0.9))
    assert len(ids) == 2, "a corrected verdict teaches the opposite no longer"


def test_a_crash_between_store_and_lake_heals(judged: JudgedHome, monkeypatch: pytest.MonkeyPatch) -> None:
    (incident,) = judged.detect(ServiceScore("web", 0.9))
    apply(judged, incident, TRUE)
    with monkeypatch.context() as patch:

        def dies(*_: object) -> int:
            raise KeyboardInterrupt

        patch.setattr(feedback, "write_labels", dies)
        with pytest.raises(KeyboardInterrupt):
            apply(judged, incident, FALSE)
    assert judged.lake.read("incidents").num_rows == 1, "the label that was taken back is still there"
    assert feedback.reconcile(judged.store, judged.lake) == 1
    assert judged.lake.read("incidents").num_rows == 0
    assert judged.lake.read("verdicts")["right"].to_pylist() == [False]
    assert feedback.reconcile(judged.store, judged.lake) == 0, "nothing is left to do"


def test_an_incident_that_goes_on_after_its_verdict_is_labelled_to_its_end(judged: JudgedHome) -> None:
    (incident,) = judged.begin(ServiceScore("web", 0.9))
    apply(judged, incident, TRUE)
    judged.now += timedelta(minutes=2)
    assert judged.begin(ServiceScore("web", 0.8), ServiceScore("cart", 0.9)) == [incident]
    assert feedback.reconcile(judged.store, judged.lake) == 1
    (label,) = judged.lake.read("incidents").to_pylist()
    assert label["ends_at"] == max(alert.last_seen for alert in judged.store.case(incident).incident.alerts)
    assert judged.lake.read("verdicts").num_rows == 3


def test_a_failed_turn_leaves_no_trace(judged: JudgedHome, monkeypatch: pytest.MonkeyPatch) -> None:
    (incident,) = judged.detect(ServiceScore("web", 0.9))
    verdict = judged.verdict(incident, FALSE)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("serving.incidents.store.store_writer.StoreWriter.event", dies)
        with pytest.raises(KeyboardInterrupt):
            feedback.apply(judged.store, judged.desk, judged.lake, verdict)
    assert judged.store.verdicts() == ()
    assert judged.store.noted("thresholds") is None
    assert judged.lake.read("verdicts").num_rows == 0


def test_an_alert_from_elsewhere_keeps_its_incident_and_no_detection_is_labelled(judged: JudgedHome) -> None:
    from aiops.incidents.alert import Alert, Severity

    (noisy,) = judged.detect(ServiceScore("mail", 0.52))
    alert = Alert("x1", "fx", "mail", "Down", Severity.CRITICAL, judged.now, source="alertmanager")
    (other,) = judged.desk.take([alert], {}, judged.now + timedelta(seconds=1)).outcome.incidents
    judged.now += timedelta(seconds=2)
    preview = feedback.preview(judged.store, judged.lake, judged.verdict(noisy, FALSE), judged.now)
    assert preview.unopened == (noisy,)
    assert judged.store.case(other.incident_id).incident.state == "open"
    apply(judged, other.incident_id, FALSE)
    assert judged.lake.read("verdicts").num_rows == 0, "no detector of ours was wrong"


@pytest.mark.parametrize(
    ("draft", "says"),
    [
        (VerdictDraft("inc-", WRONG), "needs right_cause"),
        (VerdictDraft("inc-", WRONG, "crat"), "perhaps one of cart"),
        (VerdictDraft("inc-", TRUE, "cart"), "has no right_cause"),
        (VerdictDraft("inc-", DUPLICATE), "needs duplicate_of"),
        (VerdictDraft("inc-", DUPLICATE, duplicate_of="inc-"), "is the incident itself"),
        (VerdictDraft("inc-", DUPLICATE, duplicate_of="nosuch"), "nosuch"),
        (VerdictDraft("inc-", FALSE, unrelated=("cart",)), "has no unrelated services"),
        (VerdictDraft("inc-", TRUE, unrelated=("db",)), "no known service"),
        (VerdictDraft("inc-", TRUE, unrelated=("web",)), "began there"),
        (VerdictDraft("nosuch", TRUE), "nosuch"),
    ],
)
def test_what_does_not_go_together_is_refused(judged: JudgedHome, draft: VerdictDraft, says: str) -> None:
    judged.detect(ServiceScore("web", 0.9), ServiceScore("cart", 0.9))
    with pytest.raises(ContractError, match=says):
        verdict_of(judged.store, draft, judged.now, "test", SERVICES)


def test_the_order_of_verdicts_does_not_matter(tmp_path: Path) -> None:
    orders = []
    for order in ((0, 1, 2), (2, 1, 0)):
        home = JudgedHome(tmp_path / str(order[0]))
        ids = [home.detect(ServiceScore("web", 0.7), ServiceScore("cart", 0.6))[0] for _ in range(3)]
        given = [home.verdict(ids[0], FALSE), home.verdict(ids[1], WRONG, right="db"), home.verdict(ids[0], TRUE)]
        for number in order:
            feedback.apply(home.store, home.desk, home.lake, replace(given[number]))
        orders.append((feedback.lessons_in_force(home.store), home.lake.read("incidents").to_pylist()))
        home.store.close()
    assert orders[0] == orders[1]


def test_a_verdict_that_was_faster_counts_and_the_desk_is_not_held_up(
    judged: JudgedHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    (incident_id,), (other,) = judged.detect(ServiceScore("cart", 0.95)), judged.detect(ServiceScore("alone", 0.95))
    first, second = judged.verdict(incident_id, VerdictKind.FALSE_ALARM), judged.verdict(other, VerdictKind.FALSE_ALARM)
    desk_waits: list[bool] = []

    def judged_of(store: IncidentStore, verdicts: Iterable[Verdict]) -> list[Judged]:
        desk_waits.append(store.is_writing)
        return incident_facts.judged_of(store, verdicts)

    class Slower:
        def transaction(self, at: datetime) -> AbstractContextManager[DeskTransaction]:
            feedback.apply(judged.store, judged.desk, judged.lake, second)
            return judged.desk.transaction(at)

    monkeypatch.setattr(feedback, "judged_of", judged_of)
    feedback.apply(judged.store, cast("Desk", Slower()), judged.lake, first)
    assert desk_waits == [False, False, True]
    assert {service for service, _ in feedback.lessons_in_force(judged.store).thresholds} == {"cart", "alone"}
