"""From a decided cause to the end of a run: planned once, approved, carried out, said in the timeline and to people."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from aiops.automation.plan import Plan, fingerprint_of, plan_id_of
from aiops.automation.run import Approval, RunState
from aiops.automation.runbook import Verify
from aiops.automation.service_state import Finding, Verdict
from aiops.errors import ContractError, Unavailable
from aiops.incidents.incident import Incident, IncidentState
from serving.automation.runner.automation_metrics import AutomationMetrics, TenantMetrics
from serving.automation.runner.bounded_calls import DirectCalls
from serving.automation.runner.plan_maker import PlanMaker, PlanMakerParts
from serving.automation.runner.run_executor import ExecutorParts, RunExecutor
from serving.automation.runner.run_loop import LoopParts, RunLoop
from serving.automation.runner.run_reports import ReportParts, RunAudience, RunReports
from serving.automation.runner.runner_lease import RunnerLease
from serving.incidents.store.records import IncidentCase, MessageKind
from tests.testing.automation_world import (
    FakeActions,
    FakeLedger,
    FakeTarget,
    FixedLooks,
    SamePlan,
    finding,
    plan_of,
    step_of,
)
from tests.testing.incident_home import JudgedHome, ServiceScore


@dataclass(slots=True)
class FakePlanning(SamePlan):
    """A planner with one runbook that fits every incident; `away` = the target does not answer so many times."""

    away: int = 0
    asked: list[str] = field(default_factory=list)

    def plan(self, case: IncidentCase, at: datetime) -> Plan | None:
        """Return a plan for an incident."""
        self.asked.append(case.incident.incident_id)
        if self.away:
            self.away -= 1
            raise Unavailable("the target does not answer")
        made = plan_of([step_of(1), step_of(2)], Verify(), at)
        subject = replace(made.subject, incident_id=case.incident.incident_id)
        fingerprint = fingerprint_of("v1", subject, made.steps, ())
        plan_id = plan_id_of(subject.incident_id, made.runbook, fingerprint, made.made_at)
        return replace(made, subject=subject, fingerprint=fingerprint, plan_id=plan_id)


@dataclass(slots=True)
class Suite:
    """Home, run log, targets and one process that plans and runs."""

    home: JudgedHome
    verdict: Finding = field(default_factory=lambda: finding(Verdict.BETTER))
    ledger: FakeLedger = field(default_factory=FakeLedger)
    planning: FakePlanning = field(default_factory=FakePlanning)
    targets: dict[int, FakeTarget] = field(default_factory=lambda: {1: FakeTarget(), 2: FakeTarget()})
    incident_id: str = ""

    def __post_init__(self) -> None:
        (self.incident_id,) = self.home.begin(ServiceScore("cart", 0.95))

    def maker(self) -> PlanMaker:
        metrics = TenantMetrics(AutomationMetrics(), "default")
        return PlanMaker(PlanMakerParts(self.home.store, self.ledger, self.planning, 0.8, lambda: self.home.now, metrics))

    def now(self) -> datetime:
        return self.home.now

    def executor(self) -> RunExecutor:
        actions = {"fake": FakeActions(self.targets).action}
        looks, calls = FixedLooks(), DirectCalls()
        return RunExecutor(
            ExecutorParts(self.ledger, actions, self.planning, looks, lambda verify, seen: self.verdict, self.now, calls)
        )

    def loop(self, holder: str = "one") -> RunLoop:
        executor, now = self.executor(), self.now
        audience = RunAudience(("webhook",), ("escalation",), "http://aiops.test")
        reports = RunReports(ReportParts(self.home.store, self.ledger, lambda: self.home.desk, lambda: audience, now))
        lease = RunnerLease(self.home.store, holder, timedelta(seconds=30), now)
        metrics = TenantMetrics(AutomationMetrics(), "default")
        return RunLoop(LoopParts(self.ledger, executor, reports, lease, metrics, now))

    def incident(self) -> Incident:
        return self.home.store.case(self.incident_id).incident

    def timeline(self) -> list[str]:
        return [event.what for event in self.incident().timeline]

    def messages(self) -> list[tuple[str, MessageKind, str]]:
        rows = self.home.store.messages(self.incident_id)
        return [(row.channel, row.kind, str(row.payload["headline"])) for row in rows]

    def approve(self) -> None:
        (planned,) = self.ledger.open_runs()
        approval = Approval("alice", self.home.now, planned.plan.fingerprint)
        self.ledger.approve(planned.plan.plan_id, approval, "operator")

    def run(self, loop: RunLoop, seconds: float = 1200.0) -> None:
        until = self.home.now + timedelta(seconds=seconds)
        while self.home.now < until:
            loop.look()
            self.home.now += timedelta(seconds=5)


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(JudgedHome(tmp_path))


def explained(suite: Suite, decided: bool = True) -> None:
    suite.home.explain(suite.incident_id, ServiceScore("cart", 5.0), decided=decided)
    with suite.home.store.writing() as writer:
        writer.event(suite.home.now, "root_cause", suite.incident_id, {})


def test_a_decided_cause_is_planned_for_once(suite: Suite) -> None:
    maker = suite.maker()
    maker.look()
    assert suite.planning.asked == []
    explained(suite, decided=False)
    assert maker.look() == 0
    explained(suite)
    assert maker.look() == 1
    explained(suite)
    assert maker.look() == 0
    assert suite.maker().look() == 0, "another process plans for it once more"
    assert [planned.run.state for planned in suite.ledger.open_runs()] == [RunState.WAITING]


def test_what_was_decided_while_nobody_looked_is_planned_for(suite: Suite) -> None:
    explained(suite)
    assert suite.maker().look() == 1


def test_a_target_that_does_not_answer_is_planned_for_at_the_next_look(suite: Suite) -> None:
    maker = suite.maker()
    maker.look()
    suite.planning.away = 2
    explained(suite)
    assert [maker.look(), maker.look(), maker.look(), maker.look()] == [0, 0, 1, 0]


def test_a_cured_incident_is_mitigated_and_its_timeline_says_why(suite: Suite) -> None:
    explained(suite)
    suite.maker().look()
    loop = suite.loop()
    suite.run(loop, 10)
    suite.approve()
    suite.run(loop)
    assert suite.incident().state is IncidentState.MITIGATED
    timeline_text = "\n".join(suite.timeline())
    begins = ("plan waits: ", "plan approved: ", "acts: ", "acted: ", "cured: ")
    assert list(dict.fromkeys(line.partition(": ")[0] + ": " for line in suite.timeline() if line.startswith(begins))) == [
        *begins
    ]
    for words in ("planned", "approved", "step 1: old → new", "step 2: done", "better: by the numbers"):
        assert words in timeline_text
    assert len(suite.timeline()) == len(set(suite.timeline()))
    assert {target.truth for target in suite.targets.values()} == {"new"}


def test_worse_is_undone_paged_and_stays_open(suite: Suite) -> None:
    explained(suite)
    suite.maker().look()
    loop = suite.loop()
    suite.approve()
    suite.verdict = finding(Verdict.WORSE)
    for _ in range(400):
        loop.look()
        suite.home.now += timedelta(seconds=5)
        if all(run.run.state is RunState.CHECKING for run in suite.ledger.open_runs()):
            suite.verdict = finding(Verdict.UNCLEAR)
    assert suite.incident().state is IncidentState.OPEN
    assert {target.truth for target in suite.targets.values()} == {"old"}
    pages = [text for _, kind, text in suite.messages() if kind is MessageKind.PAGE and "undone" in text]
    assert len(pages) == 1


def test_a_failed_undo_is_said_to_the_channel_of_escalations_too(suite: Suite) -> None:
    explained(suite)
    suite.maker().look()
    suite.verdict = finding(Verdict.WORSE)
    loop = suite.loop()
    suite.approve()
    for _ in range(400):
        loop.look()
        suite.home.now += timedelta(seconds=5)
        if suite.targets[2].truth == "new":
            suite.targets[2].script = ["meddle"]
    loud = {channel for channel, kind, text in suite.messages() if "UNDO FAILED" in text}
    assert loud == {"webhook", "escalation"}


def test_a_process_that_dies_before_it_said_what_it_did_is_followed_by_one_that_says_it(suite: Suite) -> None:
    explained(suite)
    suite.maker().look()
    first = suite.loop()
    suite.run(first, 10)
    suite.approve()
    executor = suite.executor()
    for _ in range(300):
        for planned in suite.ledger.open_runs():
            executor.advance(planned)
        suite.home.now += timedelta(seconds=5)
    assert suite.ledger.open_runs() == []
    before = suite.timeline()
    suite.loop("three").look()
    after = suite.timeline()
    assert len(after) > len(before)
    assert after[-1].endswith("better: by the numbers")
    suite.loop("four").look()
    assert suite.timeline() == after


def test_of_two_processes_one_carries_out(suite: Suite) -> None:
    explained(suite)
    suite.maker().look()
    suite.approve()
    first, second = suite.loop("one"), suite.loop("two")
    assert first.look()
    assert not second.look()
    suite.home.now += timedelta(seconds=31)
    suite.run(second)
    assert suite.incident().state is IncidentState.MITIGATED
    assert {tuple(target.effects) for target in suite.targets.values()} == {("new",)}


def test_a_closed_incident_is_not_planned_for(suite: Suite) -> None:
    maker = suite.maker()
    maker.look()
    suite.home.desk.change(suite.incident_id, IncidentState.RESOLVED, suite.home.now, "alice")
    explained(suite)
    assert maker.look() == 0
    with pytest.raises(ContractError):
        suite.ledger.get("nothing")
