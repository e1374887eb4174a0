"""The incident store on SQLite and PostgreSQL: migrations, one writer at a time, kill -9, what was put comes back, retention."""

import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from aiops.errors import ConfigurationError, ContractError, StateError, Unavailable
from aiops.incidents.alert import Severity
from aiops.incidents.correlation.outcome import Fate, FateKind, HeldBack
from aiops.incidents.correlation.suppression import MaintenanceWindow, Matcher, Silence, Suppression
from aiops.incidents.incident import IncidentState
from aiops.incidents.verdict import Verdict, VerdictKind
from serving.incidents.store import migrate
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.incident_tables import METADATA
from serving.incidents.store.records import IncidentFilter, MessageState, PageRequest
from tests.testing.deadlines import within
from tests.testing.store_databases import behind
from tests.testing.store_process import count_up
from tests.testing.store_rows import BEGAN, alert, at, incident, message, report

ROOT = Path(__file__).parents[4]
ALL = PageRequest(1000)


def process(url: str, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.testing.store_process", url, name, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def ids(store: IncidentStore, wanted: IncidentFilter) -> list[str]:
    return [incident.incident_id for incident in store.cases(wanted, ALL).items]


def test_migrations_make_the_tables_that_the_program_uses(empty_url: str) -> None:
    IncidentStore.open(empty_url, "default").close()
    with behind(empty_url) as connection:
        changes = compare_metadata(MigrationContext.configure(connection), METADATA)
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    assert [change for change in changes if change[0] != "remove_index" and "alembic_version" not in repr(change)] == []
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    assert version == migrate.NEWEST == ScriptDirectory.from_config(config).get_current_head()


def test_opening_again_keeps_what_is_there(store: IncidentStore, url: str) -> None:
    with store.writing() as writer:
        writer.put_incidents([incident("i-1")])
    with IncidentStore.open(url, "default") as again:
        assert again.case("i-1").incident == incident("i-1")


def test_a_database_of_a_newer_release_is_refused(store: IncidentStore, url: str) -> None:
    with behind(url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StateError, match=r"schema=9999 is newer.*run the release"):
        IncidentStore.open(url, "default")


def test_processes_that_open_and_write_at_once_lose_and_double_nothing(empty_url: str) -> None:
    count = 40
    writers = [process(empty_url, name, count) for name in ("one", "two")]
    ended = [(writer.communicate(timeout=within(60))[0], writer.returncode) for writer in writers]
    assert ended == [("", 0)] * 2
    with IncidentStore.open(empty_url, "default") as store:
        assert store.noted("count") == 2 * count
        assert {alert.alert.alert_id for alert in store.alerts(None, ALL).items} == {
            f"{name}-{number}" for name in ("one", "two") for number in range(count)
        }
        assert [event.seq for event in store.events_after(0, 1000)] == list(range(1, 2 * count + 1))
        assert store.verify_audit().entries == 2 * count
        assert store.verify_audit().intact
        with store.writing() as writer:
            assert writer.desk().seq == 2 * count


def test_kill_9_within_a_transaction_leaves_the_state_before(store: IncidentStore, url: str) -> None:
    with store.writing() as writer:
        writer.put_incidents([incident("i-1")])
        writer.save_desk(b"before", {"stream": "5-0"}, 7)
    before = store.counts()
    with process(url, "lost", 0) as writing:
        assert writing.stdout is not None
        assert writing.stdout.readline() == "inside\n"
        assert store.counts() == before, "readers do not wait, and see what is committed"
        writing.kill()
    assert store.counts() == before
    with IncidentStore.open(url, "default") as again, again.writing() as writer:
        desk = writer.desk()
        assert (desk.seq, desk.snapshot, desk.offsets, desk.clock_us) == (1, b"before", {"stream": "5-0"}, 7)
        assert writer.desk(known_seq=1).snapshot is None
        assert writer.put_alerts([alert("lost-1")], BEGAN) == 1
    assert store.verify_audit().intact


def test_what_is_raised_within_a_transaction_undoes_it(store: IncidentStore) -> None:
    with pytest.raises(ContractError, match="limit=0"), store.writing() as writer:  # noqa: PT012 - what was written before counts
        writer.put_incidents([incident("i-1")])
        writer.audit(BEGAN, "ann", "ack", "i-1", {})
        PageRequest(0)
    assert store.counts()["incidents"] == store.counts()["audit"] == 0


def test_who_watches_events_sees_each_once_in_order(store: IncidentStore) -> None:
    seen: list[int] = []
    threads = [threading.Thread(target=count_up, args=(store, f"t{number}", 15)) for number in range(3)]
    for thread in threads:
        thread.start()
    while len(seen) < 45 and (any(thread.is_alive() for thread in threads) or store.last_event_seq() > len(seen)):
        seen += [event.seq for event in store.events_after(seen[-1] if seen else 0, 4)]
    for thread in threads:
        thread.join()
    assert seen == list(range(1, 46))
    assert store.last_event_seq() == 45


def test_what_was_put_comes_back(store: IncidentStore) -> None:
    verdict = Verdict("v-1", "i-1", VerdictKind.WRONG_CAUSE, at(9), "ann", right_cause="db", note="a note")
    with store.writing() as writer:
        writer.put_incidents([incident("i-1"), incident("i-2", opened=1)])
        writer.put_incidents([replace(incident("i-2", opened=1), state=IncidentState.MERGED, merged_into="i-1")])
        writer.put_report("i-1", report(0))
        writer.put_report("i-1", report(2))
        writer.put_report("i-1", report(2))
        assert [writer.put_verdict(verdict), writer.put_verdict(verdict)] == [True, False]
        writer.put_held_back([HeldBack("i-1", at(1), Severity.CRITICAL)])
        writer.note("priors", {"cart": 0.5})
        writer.note("gone", 1)
        writer.note("gone", None)
    case = store.case("i-1")
    assert (case.incident, case.verdicts, case.merged) == (incident("i-1"), (verdict,), ("i-2",))
    assert [report.made_at for report in store.reports("i-1")] == [at(0), at(2)]
    assert repr(case.report) == repr(report(2)), "NaN and infinite numbers too"
    assert store.verdicts(at(9)) == store.verdicts(None) == (verdict,)
    assert store.verdicts(at(10)) == ()
    assert store.held_back() == (HeldBack("i-1", at(1), Severity.CRITICAL),)
    assert (store.noted("priors"), store.noted("gone")) == ({"cart": 0.5}, None)


def test_rules_come_back_and_go(store: IncidentStore) -> None:
    matchers = (Matcher("service", "=~", "cart.*"),)
    silence = Silence("quiet", matchers, at(0), at(60))
    window = MaintenanceWindow("weekly", matchers, at(0), at(60), every=timedelta(days=7), until=at(99999))
    with store.writing() as writer:
        writer.add_silence(silence)
        writer.add_silence(replace(silence, ends_at=at(90)))
        writer.add_window(window)
        assert writer.suppression().windows == (window,), "its own changes"
    assert store.suppression() == Suppression((window,), (replace(silence, ends_at=at(90)),))
    with store.writing() as writer:
        assert [writer.remove_silence("quiet"), writer.remove_silence("quiet"), writer.remove_window("weekly")] == [
            True,
            False,
            True,
        ]
    assert store.suppression() == Suppression()


def test_any_text_can_be_stored_and_asked_for(store: IncidentStore) -> None:
    strange = "a\0b'\"%_\\" + "ü" * 3000
    with store.writing() as writer:
        writer.put_alerts([alert("a-1", strange)], BEGAN)
        writer.put_incidents([incident("i-1", (strange,))])
        writer.audit(BEGAN, strange, "ack", strange, {strange: strange})
        writer.note(strange, strange)
        writer.add_silence(Silence(strange, (Matcher("service", "=", strange),), at(0), at(1)))
    assert store.case("i-1").incident.services == (strange,)
    assert store.alerts(None, ALL).items[0].alert == alert("a-1", strange)
    assert store.noted(strange) == strange
    assert ids(store, IncidentFilter(services=(strange,))) == ids(store, IncidentFilter(text="%_\\ü")) == ["i-1"]
    assert ids(store, IncidentFilter(text="%b")) == [], "% is a sign like others"
    assert store.verify_audit().intact
    with pytest.raises(ContractError, match="not known"):
        store.case("\0")


def test_repetitions_double_nothing(store: IncidentStore) -> None:
    with store.writing() as writer:
        assert writer.inbox_add([alert("a-1"), alert("a-2"), alert("a-1")], BEGAN) == 2
        assert writer.inbox_add([alert("a-2"), alert("a-3")], BEGAN) == 1
    with store.writing() as writer:
        taken = writer.inbox_take(2)
        assert [alert.alert_id for alert in taken] == ["a-1", "a-2"]
        assert (writer.put_alerts(taken, BEGAN), writer.put_alerts(taken, at(1))) == (2, 0)
        assert writer.inbox_add(taken, BEGAN) == 0, "they have been taken before"
        assert writer.known_alerts(["a-1", "a-3"]) == {"a-1"}
        assert [alert.alert_id for alert in writer.inbox_take(9)] == ["a-3"]
        assert (writer.enqueue([message("m-1")]), writer.enqueue([message("m-1"), message("m-2", due=5)])) == (1, 1)
    assert [message.message_id for message in store.due_messages(at(1), 9)] == ["m-1"]


def test_a_message_is_moved_by_whoever_knows_how_it_stands(store: IncidentStore) -> None:
    with store.writing() as writer:
        writer.enqueue([message("m-1"), message("m-2")])
        tried = replace(message("m-1"), attempts=1, due_at=at(3), error="503", tried_at=at(0))
        assert writer.move_message(tried, 0)
        assert not writer.move_message(tried, 0), "somebody else tried it"
        assert writer.move_message(replace(tried, state=MessageState.DELIVERED, settled_at=at(4)), 1)
        assert not writer.move_message(replace(tried, attempts=2), 1), "it is settled"
    assert [message.message_id for message in store.due_messages(at(9), 9)] == ["m-2"]
    assert store.messages("i-1")[1] == replace(tried, state=MessageState.DELIVERED, settled_at=at(4))
    assert store.counts()["outbox_pending"] == 1


def test_filters(store: IncidentStore) -> None:
    with store.writing() as writer:
        writer.put_incidents([incident("i-cart", ("cart", "db"), opened=0), incident("i-db", ("db",), opened=1)])
        writer.put_incidents([replace(incident("i-old", ("shop",), IncidentState.RESOLVED, -60), severity=Severity.WARNING)])
        writer.put_incidents([incident("i-cart", ("cart",), opened=0)])
    assert ids(store, IncidentFilter()) == ["i-db", "i-cart", "i-old"]
    assert ids(store, IncidentFilter(states=(IncidentState.OPEN,))) == ["i-db", "i-cart"]
    assert ids(store, IncidentFilter(services=("db",))) == ["i-db"], "a service that left is not found"
    assert ids(store, IncidentFilter(services=("cart", "shop"))) == ["i-cart", "i-old"]
    assert ids(store, IncidentFilter(severity_at_least=Severity.CRITICAL)) == ["i-db", "i-cart"]
    assert ids(store, IncidentFilter(since=at(-60), until=at(0))) == ["i-old"]
    assert ids(store, IncidentFilter(text="LATENCY")) == ["i-db", "i-cart", "i-old"]
    assert ids(store, IncidentFilter(text="I-C", states=(IncidentState.OPEN,))) == ["i-cart"]
    assert [incident.incident_id for incident in store.incidents(IncidentFilter(), ALL).items] == ["i-db", "i-cart", "i-old"]
    summary = store.cases(IncidentFilter(text="i-cart"), ALL).items[0]
    assert (summary.services, summary.notified_at, summary.alert_count, summary.storm) == (("cart",), at(0), 1, False)


def test_pages_are_complete_while_rows_are_added(store: IncidentStore) -> None:
    with store.writing() as writer:
        writer.put_incidents([incident(f"i-{number:02d}", opened=number // 3) for number in range(20)])
        writer.put_alerts([alert(f"a-{number}") for number in range(20)], BEGAN)
    cases: list[str] = []
    alerts: list[str] = []
    cursors = ["", ""]
    for turn in range(10):
        page, alert_page = (
            store.cases(IncidentFilter(), PageRequest(3, cursors[0])),
            store.alerts(None, PageRequest(3, cursors[1])),
        )
        cases += [incident.incident_id for incident in page.items]
        alerts += [alert.alert.alert_id for alert in alert_page.items]
        cursors = [page.next_cursor, alert_page.next_cursor]
        if not any(cursors):
            break
        with store.writing() as writer:
            writer.put_incidents([incident(f"new-{turn}", opened=50 + turn), replace(incident("i-00"), alert_count=turn)])
            writer.put_alerts([alert(f"new-{turn}")], BEGAN)
    assert sorted(cases) == [f"i-{number:02d}" for number in range(20)]
    assert alerts == [f"a-{number}" for number in reversed(range(20))]


@pytest.mark.parametrize("cursor", ["nonsense", "é", "WyJhIl0", "WzEsMl0", "e30"])
def test_a_cursor_of_something_else_is_refused(store: IncidentStore, cursor: str) -> None:
    with pytest.raises(ContractError, match="cursor="):
        store.cases(IncidentFilter(), PageRequest(3, cursor))


def test_the_beginning_of_an_id_is_enough(store: IncidentStore) -> None:
    with store.writing() as writer:
        writer.put_incidents([incident("i-12"), incident("i-123"), incident("i-2")])
    assert store.case("i-2").incident.incident_id == store.case("i-2").incident.incident_id == "i-2"
    assert store.case("i-12").incident.incident_id == "i-12", "a whole id is meant, not what it begins"
    for unclear, why in (("i-1", "several"), ("", "not known"), ("i-3", "not known"), ("i_2", "not known")):
        with pytest.raises(ContractError, match=why):
            store.case(unclear)


def test_alerts_of_merged_incidents_are_listed_where_they_went_on(store: IncidentStore) -> None:
    merged = [replace(incident(f"i-{into + 1}"), state=IncidentState.MERGED, merged_into=f"i-{into}") for into in (1, 2)]
    with store.writing() as writer:
        writer.put_incidents([incident("i-1"), *merged])
        writer.put_alerts([alert(f"a-{number}") for number in range(1, 5)], BEGAN)
        writer.put_fates([Fate(f"a-{number}", "f", f"i-{number}", FateKind.OPENED) for number in (1, 2, 3)])
        writer.put_fates([Fate("a-4", "f", "", FateKind.SILENCE, "quiet")])
    alerts = store.alerts("i-1", ALL).items
    assert [(alert.alert.alert_id, alert.incident_id) for alert in alerts] == [("a-3", "i-3"), ("a-2", "i-2"), ("a-1", "i-1")]
    assert [alert.fate for alert in store.alerts(None, ALL).items] == ["silence: quiet", "opened", "opened", "opened"]
    assert store.case("i-1").merged == ("i-2", "i-3")


def test_retention_drops_what_closed_with_all_that_belongs_to_it(store: IncidentStore) -> None:
    old, new = IncidentState.RESOLVED, at(1000)
    merged = replace(incident("i-merged"), state=IncidentState.MERGED, merged_into="i-open")
    gone = replace(incident("i-gone"), state=IncidentState.MERGED, merged_into="i-old")
    delivered = replace(message("m-1", "i-old"), state=MessageState.DELIVERED)
    with store.writing() as writer:
        writer.put_incidents(
            [incident("i-old", state=old), incident("i-open"), incident("i-new", state=old, opened=1000), merged, gone]
        )
        names = ("i-old", "i-open", "i-merged", "i-gone", "")
        writer.put_alerts([alert(f"of-{name}") for name in names] + [alert("unsettled")], BEGAN)
        writer.put_fates([Fate(f"of-{name}", "f", name, FateKind.OPENED) for name in names])
        for name in ("i-old", "i-open"):
            writer.put_report(name, report())
            writer.put_verdict(Verdict(f"v-{name}", name, VerdictKind.TRUE, BEGAN, "ann"))
        writer.enqueue([delivered, message("m-2", "i-open")])
        writer.add_silence(Silence("past", (Matcher("service", "=", "cart"),), at(0), at(1)))
        writer.event(BEGAN, "incident", "i-old", {})
        writer.event(new, "incident", "i-new", {})
        writer.audit(BEGAN, "ann", "ack", "i-old", {})
    assert store.retain(new) == 2
    assert ids(store, IncidentFilter()) == ["i-new", "i-open", "i-merged"]
    assert {alert.alert.alert_id for alert in store.alerts(None, ALL).items} == {"of-i-open", "of-i-merged", "unsettled"}
    assert [verdict.incident_id for verdict in store.verdicts(None)] == ["i-open"]
    assert ids(store, IncidentFilter(services=("cart",))) == ["i-new", "i-open", "i-merged"]
    counts = store.counts()
    assert (counts["reports"], counts["outbox"], counts["events"], counts["audit"]) == (1, 1, 1, 1)
    assert store.silences() == ()
    assert [event.seq for event in store.events_after(0, 9)] == [2]
    assert store.verify_audit().intact
    assert store.retain(new) == 0


def test_a_database_that_does_not_answer_or_is_none() -> None:
    for url in ("postgresql://ann:secret@127.0.0.1:1/incidents", "postgresql://127.0.0.1:1/incidents?user=ann&password=secret"):
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1.*does not answer") as refused:
            IncidentStore.open(url, "default")
        assert "secret" not in str(refused.value)
    for unusable in ("sqlite://", "sqlite:///:memory:", "mysql://localhost/x", "nonsense"):
        with pytest.raises(ConfigurationError, match=r"responder\.database_url"):
            IncidentStore.open(unusable, "default")


def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "incidents.db").write_bytes(b"not a database at all" * 500)
    with pytest.raises(StateError, match="restore a backup"):
        IncidentStore.open(f"sqlite:///{tmp_path / 'incidents.db'}", "default")
