"""Acting in a rehearsal, from telemetry in the lake to the end of the runs; only the alerts are made by the truth."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from aiops.automation.run import RunState
from aiops.incidents.alert import Alert, Severity, fingerprint_of
from aiops.incidents.incident import IncidentState
from aiops.settings.tree import Settings
from aiops.simulator.simulate import Simulation
from aiops.simulator.simulation_config import ScriptedIncident, SimulationConfig
from orchestration.pipeline.ingest import ingest, ingest_truth
from orchestration.rehearsal import acting
from orchestration.rehearsal.acted_run import ActedRun, missing_ends
from orchestration.rehearsal.acted_span import ActedIncident, ActedSpan, ReactingApplication
from orchestration.rehearsal.acting import APPROVES_AFTER, OPERATOR, ActedStory
from orchestration.workspace.workspace import Workspace
from serving.incidents.desk.analyses import Analyses, AnalysisParts
from serving.incidents.desk.desk import Desk
from serving.incidents.desk.desk_factory import desk_of, keep_terms
from serving.incidents.desk.desk_metrics import ResponderMetrics
from serving.incidents.desk.desk_transaction import Audience
from serving.incidents.store.incident_store import IncidentStore
from serving.ingest.pull.simulate import SimulatedSource
from serving.root_cause.lake_explainer import RootCauseAnalyst

START = datetime(2025, 3, 1, tzinfo=UTC)
CALM_H = 10.0
CURED_AT = START + timedelta(hours=CALM_H + 0.5)
UNDONE_AT = START + timedelta(hours=CALM_H + 3.0)
LATER = START + timedelta(days=2)
SEEN_AFTER = timedelta(minutes=3)
EXPECTED = (RunState.CURED, RunState.UNDONE)


def config(hours: float = CALM_H + 5.0) -> SimulationConfig:
    bad = ScriptedIncident("bad_deployment", (CALM_H + 0.5) * 60, "payments", duration_min=75)
    full = ScriptedIncident("connection_exhaustion", (CALM_H + 3.0) * 60, "orders", buildup_min=5, duration_min=80)
    quiet = {"incidents_per_day": 0.0, "deployments_per_day": 0.0, "decoys_per_day": 0.0, "traces_per_min": 0.0}
    return SimulationConfig(seed=7, start=START, services=10, hours=hours, scripted=(bad, full), **quiet)  # type: ignore[arg-type]


@dataclass(slots=True)
class AlertingLoop:
    """Writes what is published into the lake, alerts where the simulation harms; the rest is as the responder does it."""

    workspace: Workspace
    application: ReactingApplication
    store: IncidentStore
    begun: set[str] = field(default_factory=set)
    desk: Desk = field(init=False)
    analyses: Analyses = field(init=False)

    def __post_init__(self) -> None:
        """Open the desk of the workspace's settings."""
        settings = self.workspace.settings
        keep_terms(settings, self.store)
        self.desk = desk_of(settings, self.store)
        analyst = RootCauseAnalyst.of(settings, self.workspace.tenant)
        parts = AnalysisParts(self.store, analyst, Audience((), ""), ResponderMetrics(), lambda: self.application.now)
        self.analyses = Analyses(parts)

    def publish(self, chunk: pa.Table) -> None:
        """Write a chunk."""
        ingest(self.workspace, "simulate", [chunk], LATER, lambda _: None)

    def catch_up(self) -> None:
        """Alert, correlate, explain."""
        simulation, now = self.application.world.simulation, self.application.now
        step = self.desk.take(list(self._alerts(simulation, now)), {"detections": f"{now.timestamp():.0f}-0"}, now)
        self.analyses.see(step)
        while self.analyses.look():
            pass

    def _alerts(self, simulation: Simulation, now: datetime) -> Iterator[Alert]:
        for course in simulation.courses():
            service = simulation.services[course.incident.service]
            labels = {"service": service, "alertname": "errors"}
            harms = [START + timedelta(seconds=harm.start_s) for harm in course.harms()]
            over = max((START + timedelta(seconds=harm.end_s) for harm in course.harms()), default=now)
            if not harms or min(harms) + SEEN_AFTER > now:
                continue
            seen_at = min(harms) + SEEN_AFTER
            ends = over if over + SEEN_AFTER <= now else None
            name = f"{service}-{ends or 'fires'}"
            if name not in self.begun:
                self.begun.add(name)
                about = (name, fingerprint_of(labels), service, "errors", Severity.CRITICAL, seen_at, ends)
                yield Alert(*about, labels=labels, until_ended=True, source="truth")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a story, what was said, and the application as it has become."""

    runs: tuple[ActedRun, ...]
    lines: tuple[str, ...]
    application: Simulation
    states: dict[str, IncidentState]


def outcome_of(home: Path, *incidents: ActedIncident) -> Outcome:
    """Play a story in a fresh home."""
    source, begins = SimulatedSource(config()), START + timedelta(hours=CALM_H)
    settings = Settings(home=home)
    by_events = settings.responder.model_copy(update={"clock": "event", "settle_s": 0.0, "page_settle_s": 0.0})
    workspace = Workspace.open(settings.model_copy(update={"responder": by_events}))
    ingest_truth(workspace, source)
    ingest(workspace, "simulate", source.batches(START, begins), LATER, lambda _: None)
    application = ReactingApplication(source.simulation, begins)
    lines: list[str] = []
    with IncidentStore.open(workspace.settings.incident_store_url, workspace.tenant) as store:
        loop = AlertingLoop(workspace, application, store)
        with ActedStory(workspace, ActedSpan(application, incidents), loop, lines.append) as story:
            runs = story.play()
        states = {run.run_id: store.case(run.incident_id).incident.state for run in runs}
        assert store.verify_audit().intact
    return Outcome(runs, tuple(lines), application.world.simulation, states)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return outcome_of(
        tmp_path_factory.mktemp("acting") / "home",
        ActedIncident(CURED_AT, RunState.CURED),
        ActedIncident(UNDONE_AT, RunState.UNDONE),
    )


def test_one_incident_is_cured_and_one_action_is_undone_because_it_got_worse(outcome: Outcome) -> None:
    cured, undone = outcome.runs
    assert (cured.runbook, cured.service, cured.state) == ("roll-back-bad-deployment", "payments", RunState.CURED)
    assert (undone.runbook, undone.service, undone.state) == ("spread-exhausted-pool", "orders", RunState.UNDONE)
    assert cured.lines[-1].what.startswith("better: errors ")
    assert "worse: errors " in undone.sentence
    assert "the incident goes on" in undone.sentence
    assert outcome.states == {cured.run_id: IncidentState.RESOLVED, undone.run_id: IncidentState.OPEN}
    assert missing_ends(outcome.runs, EXPECTED) == ""


def test_nothing_acts_before_the_simulated_operator_has_approved(outcome: Outcome) -> None:
    for run in outcome.runs:
        assert run.approved_by == OPERATOR
        states = list(dict.fromkeys(line.state for line in run.lines))
        assert states[:3] == [RunState.WAITING, RunState.APPROVED, RunState.ACTING]
        made, approved = (next(line.at for line in run.lines if line.state is state) for state in states[:2])
        assert approved - made >= APPROVES_AFTER


def test_the_services_react_and_what_was_done_is_taken_back_the_newest_step_first(outcome: Outcome) -> None:
    actions = [(action.service, action.kind, action.amount) for action in outcome.application.actions]
    version = outcome.application.standing("payments", CURED_AT + timedelta(minutes=4)).version
    assert actions == [
        ("payments", "version", version - 1.0),
        ("orders", "replicas", 6.0),
        ("orders", "weight", 0.5),
        ("orders", "replicas", 3.0),  # at one time with the next: the run log has the order
        ("orders", "weight", 1.0),
    ]
    taken_back = [line.what.partition(":")[0] for line in outcome.runs[1].lines if line.what.startswith("takes back")]
    assert taken_back == ["takes back step 2", "takes back step 1"]
    alone, acted = (harm_s(simulation) for simulation in (SimulatedSource(config()).simulation, outcome.application))
    assert acted < 0.5 * alone, "the rollback ends the harm early"


def harm_s(simulation: Simulation) -> float:
    """Return for how long users feel the bad deployment."""
    return sum(harm.end_s - harm.start_s for harm in simulation.courses()[0].harms())


def test_each_line_of_a_plan_and_of_its_run_is_said_once_in_order(outcome: Outcome) -> None:
    assert len(outcome.lines) == len(set(outcome.lines))
    for run in outcome.runs:
        assert any(line.startswith(f"plan {run.run_id}: ") for line in outcome.lines)
        said = [line for line in outcome.lines if any(line.endswith(f"{own.state}: {own.what}") for own in run.lines)]
        assert len(said) >= len(run.lines) - 1, "all but that of the approval, which names who approved"
    assert any(line.endswith(f"({OPERATOR})") for line in outcome.lines)


def test_a_story_without_a_plan_says_so(tmp_path: Path) -> None:
    calm = START + timedelta(hours=CALM_H + 0.1)
    nothing = outcome_of(tmp_path / "home", ActedIncident(calm - acting.GIVES_UP, RunState.CURED))
    assert nothing.runs == ()
    assert re.match(r"no run was cured, .* No plan was made", missing_ends(nothing.runs, [RunState.CURED]))


def test_a_run_that_ends_otherwise_is_said_with_how(outcome: Outcome) -> None:
    said = missing_ends(outcome.runs[:1], EXPECTED)
    assert re.match(r"no run was undone, .* roll-back-bad-deployment on payments is cured", said)
    assert outcome.runs[0].sentence in said
