"""From a decided cause to the end of a run: planned once, approved, carried out, said in the timeline and to people."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from aiops.automation.plan import Plan, fingerprint_of, plan_id_of
from aiops.automation.run import Approval, RunState
from aiops.automation.run_ledger import RunChange, Switch
from aiops.automation.runbook import Earn, Verify
from aiops.automation.service_state import Finding, Verdict
from aiops.errors import ContractError, Unavailable
from aiops.incidents.incident import Incident, IncidentState
from serving.automation.runner.automation_metrics import AutomationMetrics, TenantMetrics
from serving.automation.runner.bounded_calls import DirectCalls
from serving.automation.runner.plan_maker import PlanMaker, PlanMakerParts
from serving.automation.runner.run_executor import ExecutorParts, RunExecutor
from serving.automation.runner.run_loop import LoopParts, RunLoop
from serving.automation.runner.run_reports import SAID, ReportParts, RunAudience, RunReports
from serving.automation.runner.runner_lease import RunnerLease
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import IncidentCase, IncidentFilter, IncidentSummary, MessageKind, Page, PageRequest
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
    earn: Earn | None = None

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
        terms = replace(made.terms, earn=self.earn)
        return replace(made, subject=subject, terms=terms, fingerprint=fingerprint, plan_id=plan_id)


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


def test_a_cured_incident_that_opens_again_is_planned_for_once_more(suite: Suite) -> None:
    explained(suite)
    suite.maker().look()
    loop = suite.loop()
    suite.approve()
    suite.run(loop, 240)
    suite.home.begin(ServiceScore("cart", 0.95))  # it fires on, so that it is not over
    suite.run(loop, 270)
    assert suite.incident().state is IncidentState.MITIGATED
    maker = suite.maker()
    assert maker.look() == 0
    assert suite.home.begin(ServiceScore("cart", 0.95)) == [suite.incident_id]
    assert suite.incident().state is IncidentState.OPEN
    assert [maker.look(), suite.maker().look()] == [0, 0], "what was found before it opened again says nothing of it now"
    explained(suite)
    assert maker.look() == 1
    explained(suite)
    assert [maker.look(), suite.maker().look()] == [0, 0]
    assert [planned.run.state for planned in suite.ledger.open_runs()] == [RunState.WAITING]


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


class SilentStore(IncidentStore):
    """A store whose database does not answer so many calls."""

    silent = 0

    def case(self, incident_id: str) -> IncidentCase:
        self._answer()
        return super().case(incident_id)

    def cases(self, incident_filter: IncidentFilter, request: PageRequest) -> Page[IncidentSummary]:
        self._answer()
        return super().cases(incident_filter, request)

    def _answer(self) -> None:
        if self.silent:
            self.silent -= 1
            raise Unavailable("the database does not answer")


def looked(maker: PlanMaker, times: int) -> list[int | str]:
    """Return what so many looks have made."""
    made: list[int | str] = []
    for _ in range(times):
        try:
            made.append(maker.look())
        except Unavailable:
            made.append("unavailable")
    return made


def test_no_incident_is_lost_while_the_store_does_not_answer(suite: Suite, tmp_path: Path) -> None:
    explained(suite)
    with SilentStore.open(f"sqlite:///{tmp_path / 'incidents.db'}", "default") as store:
        suite.home.store = store
        store.silent = 2
        maker = suite.maker()
        assert looked(maker, 4) == ["unavailable", "unavailable", 1, 0]
        suite.home.now += timedelta(hours=1)
        changed = suite.home.begin(ServiceScore("bank", 0.95))
        suite.incident_id = next(name for name in changed if "bank" in store.case(name).incident.services)
        explained(suite)
        store.silent = 1
        assert looked(maker, 3) == ["unavailable", 1, 0]


def earning(suite: Suite) -> None:
    """Let the runbook earn to run alone on the service."""
    suite.planning.earn = Earn(cure_rate=0.5)
    for number in range(5):
        case = suite.home.store.case(suite.incident_id)
        plan = suite.planning.plan(replace(case, incident=replace(case.incident, incident_id=f"past-{number}")), suite.home.now)
        assert plan is not None
        planned = suite.ledger.propose(plan)
        planned = suite.ledger.approve(plan.plan_id, Approval("alice", suite.home.now, plan.fingerprint), "operator")
        planned = suite.ledger.begin(plan, planned, suite.home.now)
        for state in (RunState.SETTLING, RunState.CURED):
            planned = suite.ledger.change(planned, RunChange(state, suite.home.now))
        suite.home.now += timedelta(hours=3)


def test_what_has_earned_it_runs_alone_even_where_its_planner_has_died(suite: Suite) -> None:
    earning(suite)
    explained(suite)
    suite.maker().look()
    (waiting,) = suite.ledger.open_runs()
    assert waiting.run.state is RunState.WAITING
    suite.run(suite.loop())
    run = suite.ledger.get(waiting.plan.plan_id).run
    assert (run.state, run.approval is not None and run.approval.earned) == (RunState.CURED, True)
    assert {target.truth for target in suite.targets.values()} == {"new"}


def test_a_plan_made_anew_because_it_was_stale_runs_alone_as_well(suite: Suite) -> None:
    earning(suite)
    explained(suite)
    suite.maker().look()
    (planned,) = suite.ledger.open_runs()
    steps = [replace(step, before={"value": "older"}) for step in planned.plan.steps]
    fingerprint = fingerprint_of("v1", planned.plan.subject, steps, ())
    at = suite.home.now + timedelta(seconds=1)
    plan_id = plan_id_of(suite.incident_id, planned.plan.runbook, fingerprint, at)
    fresh = replace(planned.plan, plan_id=plan_id, steps=tuple(steps), fingerprint=fingerprint, made_at=at)
    suite.planning.anew_as = fresh
    suite.run(suite.loop())
    assert [suite.ledger.get(name).run.state for name in (planned.plan.plan_id, plan_id)] == [RunState.REFUSED, RunState.CURED]


def test_an_approval_that_was_refused_is_asked_for_again(suite: Suite) -> None:
    earning(suite)
    explained(suite)
    suite.maker().look()
    suite.ledger.turn(Switch(False, suite.home.now, "alice"))
    loop = suite.loop()
    suite.run(loop, 30)
    assert [planned.run.state for planned in suite.ledger.open_runs()] == [RunState.WAITING]
    suite.ledger.turn(Switch(True, suite.home.now, "alice"))
    suite.run(loop)
    assert {target.truth for target in suite.targets.values()} == {"new"}


def test_what_a_person_asked_for_does_not_run_alone(suite: Suite) -> None:
    earning(suite)
    explained(suite)
    case = suite.home.store.case(suite.incident_id)
    plan = suite.planning.plan(case, suite.home.now)
    assert plan is not None
    suite.ledger.propose(replace(plan, requested_by="bob"))
    suite.run(suite.loop(), 60)
    assert {target.truth for target in suite.targets.values()} == {"old"}


def test_a_run_that_retention_has_dropped_is_forgotten(suite: Suite) -> None:
    explained(suite)
    suite.maker().look()
    suite.loop().look()
    suite.ledger = FakeLedger()
    suite.planning.asked.clear()
    loop = suite.loop()
    for _ in range(3):
        loop.look()
    assert suite.home.store.noted(SAID) == {}


def test_a_closed_incident_is_not_planned_for(suite: Suite) -> None:
    maker = suite.maker()
    maker.look()
    suite.home.desk.change(suite.incident_id, IncidentState.RESOLVED, suite.home.now, "alice")
    explained(suite)
    assert maker.look() == 0
    with pytest.raises(ContractError):
        suite.ledger.get("nothing")
