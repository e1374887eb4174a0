"""`aiops rca …` on a small lake and an incident store: the stored analysis, one made anew, and one without an incident."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiops.incidents.alert import Severity
from aiops.incidents.incident import AlertEntry, Incident, IncidentState
from aiops.incidents.root_cause import ChangeEvent, RootCause, RootCauseReport
from aiops.settings.tree import Settings
from data_contracts.series.tenant import DEFAULT_TENANT
from orchestration.cli import run
from serving.incidents.store.incident_store import IncidentStore
from serving.lake.opening import open_lake
from serving.tables.changes import write_changes
from serving.tables.graph_store import GraphStore
from tests.testing.slow_database import BEGAN, CALLS, MINUTE, START, rows

STORED = RootCauseReport(
    BEGAN, BEGAN, BEGAN, "web", (RootCause("mail", 0.4, "mail: a guess"),), False, "Undecided.", ("more telemetry",), 0.6
)


def entry(service: str, minute: int) -> AlertEntry:
    seen = BEGAN + minute * MINUTE
    return AlertEntry(f"fp-{service}", service, "latency", Severity.WARNING, seen, seen)


def incident(name: str, state: IncidentState, minutes: int) -> Incident:
    alerts = (entry("web", 1), entry("cart", 2))
    last = BEGAN + minutes * MINUTE
    return Incident(name, state, Severity.WARNING, BEGAN + MINUTE, last, "web", ("web", "cart"), alerts, 2, timeline=())


@pytest.fixture
def filled(home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("AIOPS_HOME", str(home))
    settings = Settings(home=home)
    lake = open_lake(settings).for_tenant(DEFAULT_TENANT)
    lake.write("telemetry", rows(START, 240), "calm")
    lake.write("telemetry", rows(BEGAN, 5, 0.5, 1), "trouble")
    write_changes(lake, [ChangeEvent.of(BEGAN - 2 * MINUTE, "db", "deployment", "release 12")])
    GraphStore(lake).replace_configured(CALLS, datetime(2026, 4, 1, tzinfo=UTC))  # told later: better than no graph
    with IncidentStore.open(settings.incident_store_url, "default") as store, store.writing() as writer:
        writer.put_incidents([incident("inc-explained", IncidentState.RESOLVED, 4), incident("inc-fresh", IncidentState.OPEN, 2)])
        writer.put_report("inc-explained", STORED)
    return settings


def printed(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert run(words.split()) == 0
    return capsys.readouterr().out


def test_the_stored_analysis_is_shown_and_another_on_demand(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    stored = json.loads(printed("rca explain inc-expl --json", capsys))
    assert (stored["incident_id"], stored["made_now"]) == ("inc-explained", False)
    assert stored["report"]["causes"][0]["service"] == "mail"
    shown = printed("rca explain inc-explained", capsys)
    assert "stored; --again makes a new one" in shown
    assert "  - more telemetry" in shown
    anew = json.loads(printed("rca explain inc-explained --again --json", capsys))
    assert anew["made_now"]
    assert anew["report"]["made_at"] == "2026-03-02T04:04:00Z", "an incident that is over is explained as of its end"
    assert anew["report"]["causes"][0]["service"] == "db"
    assert json.loads(printed("rca explain inc-expl --json", capsys)) == stored, "a new analysis replaces nothing"


def test_an_incident_without_an_analysis_is_explained_now(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed("rca explain inc-fresh", capsys)
    assert "made just now" in shown
    assert "\ndb most probably began it" in shown
    for said in (
        "path: db → cart → web",
        "changed: deployment at 2026-03-02 03:58:00Z: release 12",
        "none of them",
        "usually 0.02 s",
    ):
        assert said in shown


def test_a_service_is_explained_without_an_incident(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    at = f"{BEGAN + timedelta(minutes=3):%Y-%m-%dT%H:%M:%SZ}"
    report = json.loads(printed(f"rca ask --service web --at {at} --minutes 3 --json", capsys))["report"]
    assert (report["causes"][0]["service"], report["window_end"]) == ("db", "2026-03-02T04:03:00Z")
    shown = printed(f"rca ask --service nobody --at {at}", capsys)
    assert "no telemetry of nobody between" in shown
    assert "What would decide it" in shown


def test_the_evidence_is_drawn(filled: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "why.svg"
    printed(f"rca explain inc-fresh --plot {file} --json", capsys)
    drawing = file.read_text()
    assert drawing.lstrip().startswith("<?xml")
    assert "db" in drawing
    for name, says in (("why.png", "ends in .svg"), ("no/why.svg", "does not exist")):
        assert run(f"rca explain inc-fresh --plot {tmp_path / name}".split()) == 2
        assert says in capsys.readouterr().err
