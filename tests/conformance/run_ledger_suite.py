"""What every run log must do: a base class of tests. A subclass has a fixture `make`: a ledger with these limits, empty."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from aiops.automation.action import Risk
from aiops.automation.earning import Hold
from aiops.automation.limits import SuiteLimits
from aiops.automation.plan import Plan
from aiops.automation.run import Approval, RunState, StepRun, StepState
from aiops.automation.run_ledger import PlannedRun, Remainder, RunChange, RunLedger, Switch
from aiops.automation.runbook import Approve, Limits
from aiops.errors import ContractError, FencedError, RunRefused
from tests.testing.made_plans import BEGAN, EARNS, Wish, after, approval_of, made_anew, plan_of

Make = Callable[[SuiteLimits], RunLedger]
WIDE = SuiteLimits(1000, 10_000, 1.0)
SHOP = frozenset({"cart", "web", "db", "search", "mail", "pay"})
"""The application of all services of the suite's plans, by which `make` builds a ledger."""


def begin(ledger: RunLedger, plan: Plan, seconds: float = 20.0) -> PlannedRun:
    planned = ledger.propose(plan)
    approved = ledger.approve(planned.plan.plan_id, approval_of(plan, seconds - 1), "operator")
    return ledger.begin(made_anew(plan, after(seconds)), approved, after(seconds))


def end(ledger: RunLedger, planned: PlannedRun, state: RunState, seconds: float) -> PlannedRun:
    """Bring a run that acts to an end."""
    between = {RunState.CURED: RunState.SETTLING, RunState.UNDONE: RunState.UNDOING, RunState.UNDO_FAILED: RunState.UNDOING}
    if state in between:
        planned = ledger.change(planned, RunChange(between[state], after(seconds)))
    if state is RunState.UNDONE:
        planned = ledger.change(planned, RunChange(RunState.CHECKING, after(seconds)))
    return ledger.change(planned, RunChange(state, after(seconds), (), "over"))


def cured(ledger: RunLedger, count: int, wish: Wish | None = None, first: float = 0.0) -> None:
    """Let a runbook cure a service so many times, one run in ten seconds."""
    for number in range(count):
        seconds = first + 10.0 * number
        made = replace(wish or Wish(), incident=f"inc-{seconds:g}", made_at=after(seconds))
        end(ledger, begin(ledger, plan_of(made), seconds + 2), RunState.CURED, seconds + 5)


class RunLedgerSuite:
    """Plans, approvals, bounds, runs, the switch and what is earned."""

    def test_a_plan_waits_and_comes_back_whole(self, make: Make) -> None:
        ledger = make(WIDE)
        plan = plan_of(Wish(services=("cart", "db"), limits=Limits(services=2)))
        planned = ledger.propose(plan)
        assert planned == ledger.get(plan.plan_id) == ledger.get(plan.plan_id[:6])
        assert planned.plan == plan
        assert (planned.run.state, planned.revision) == (RunState.WAITING, 1)
        assert [step.state for step in planned.run.steps] == [StepState.PENDING, StepState.PENDING]
        assert list(ledger.open_runs()) == [planned]

    def test_the_same_plan_again_is_the_open_plan(self, make: Make) -> None:
        ledger = make(WIDE)
        first = ledger.propose(plan_of())
        assert ledger.propose(plan_of(Wish(made_at=after(5)))) == first
        assert ledger.propose(plan_of(Wish(made_at=after(5), incident="inc-2"))).plan.plan_id != first.plan.plan_id
        assert ledger.propose(plan_of(Wish(made_at=after(5), state="newer"))).plan.plan_id != first.plan.plan_id
        ledger.reject(first.plan.plan_id, "ann", after(6))
        assert ledger.propose(plan_of(Wish(made_at=after(7)))).run.state is RunState.WAITING

    def test_a_plan_whose_fingerprint_is_not_that_of_its_content_is_refused(self, make: Make) -> None:
        plan = plan_of()
        other = replace(plan, steps=(replace(plan.steps[0], target="process/db"),))
        with pytest.raises(ContractError, match="fingerprint"):
            make(WIDE).propose(other)

    @pytest.mark.parametrize("name", ["'; DROP TABLE automation_runs; --", "a\0b", "", "ü" * 90])
    def test_an_id_that_is_none_is_refused(self, make: Make, name: str) -> None:
        with pytest.raises(ContractError):
            make(WIDE).propose(replace(plan_of(), plan_id=name))
        with pytest.raises(ContractError, match="not known"):
            make(WIDE).get(name)

    @pytest.mark.parametrize("name", ["x'); DROP TABLE automation_runs; --", "nul\0within", "%", "_", "\u202e" + "y" * 3000])
    def test_names_of_services_are_data(self, make: Make, name: str) -> None:
        ledger = make(WIDE)
        other = begin(ledger, plan_of(Wish(services=("db",), incident="inc-9")))
        acting = begin(ledger, plan_of(Wish(services=(name,), incident=f"inc {name}", target=name)))
        step = StepRun(0, StepState.DONE, 1, after(21), note=name)
        ledger.change(acting, RunChange(RunState.ACTING, after(21), (step,), name, name))
        ledger.hold(Hold("restart", name, name, after(22), name), held=True)
        kept = ledger.get(acting.plan.plan_id)
        assert kept.plan == acting.plan
        assert kept.run.steps == (step,)
        assert [standing.service for standing in ledger.standings()] == [name]
        with pytest.raises(RunRefused, match="acts on it now"):
            begin(ledger, plan_of(Wish(services=(name,), incident="inc-8")), 30)
        assert {planned.plan.plan_id for planned in ledger.open_runs()} == {other.plan.plan_id, acting.plan.plan_id}

    def test_an_approval_is_of_the_fingerprint(self, make: Make) -> None:
        ledger = make(WIDE)
        plan = ledger.propose(plan_of()).plan
        with pytest.raises(RunRefused, match="fingerprint"):
            ledger.approve(plan.plan_id, replace(approval_of(plan), fingerprint="0" * 64), "admin")
        with pytest.raises(RunRefused, match="fingerprint"):
            ledger.approve(plan.plan_id, replace(approval_of(plan), fingerprint=""), "admin")
        approved = ledger.approve(plan.plan_id, approval_of(plan), "operator")
        assert approved.run.approval == approval_of(plan)
        with pytest.raises(RunRefused, match="state=approved"):
            ledger.approve(plan.plan_id, approval_of(plan), "operator")

    def test_an_approval_in_time_counts_and_one_too_late_ends_the_plan(self, make: Make) -> None:
        ledger = make(WIDE)
        plan = ledger.propose(plan_of(Wish(approve=Approve(expires=60.0)))).plan
        with pytest.raises(RunRefused, match="expired"):
            ledger.approve(plan.plan_id, approval_of(plan, 60.0), "admin")
        assert ledger.get(plan.plan_id).run.state is RunState.EXPIRED
        other = ledger.propose(plan_of(Wish(approve=Approve(expires=60.0), incident="inc-2"))).plan
        assert ledger.approve(other.plan_id, approval_of(other, 59.9), "admin").run.state is RunState.APPROVED

    @pytest.mark.parametrize(
        ("wish", "by", "role", "why"),
        [
            (Wish(), "ann", "viewer", "role=viewer"),
            (Wish(), "ann", "", "role="),
            (Wish(approve=Approve(role="admin")), "ann", "operator", "admin or more"),
            (Wish(), "suite", "admin", "cannot approve its own"),
            (Wish(), " SUITE", "admin", "cannot approve its own"),
            (Wish(), "", "admin", "must name"),
            (Wish(requested_by="ann", approve=Approve(not_requester=True)), "Ann ", "admin", "another person"),
            (Wish(requested_by="ann", approve=Approve(not_requester=True)), "bob", "admin", "not bound to persons"),
            (Wish(holds=False), "ann", "admin", "the cause is not sure enough"),
        ],
    )
    def test_who_may_not_approve_is_refused_and_the_plan_waits_on(
        self, make: Make, wish: Wish, by: str, role: str, why: str
    ) -> None:
        ledger = make(WIDE)
        plan = ledger.propose(plan_of(wish)).plan
        with pytest.raises(RunRefused, match=why):
            ledger.approve(plan.plan_id, approval_of(plan, by=by), role)
        assert ledger.get(plan.plan_id).run.state is RunState.WAITING

    def test_four_eyes_are_two_checked_names(self, make: Make) -> None:
        ledger = make(WIDE)
        plan = ledger.propose(plan_of(Wish(requested_by="ann", approve=Approve(not_requester=True)))).plan
        approved = ledger.approve(plan.plan_id, approval_of(plan, by="bob", bound=True), "operator")
        assert approved.run.state is RunState.APPROVED

    def test_what_is_begun_was_approved_and_is_planned_the_same_again(self, make: Make) -> None:
        ledger = make(WIDE)
        waiting = ledger.propose(plan_of())
        with pytest.raises(ContractError, match="must be approved"):
            ledger.begin(made_anew(waiting.plan, after(5)), waiting, after(5))
        approved = ledger.approve(waiting.plan.plan_id, approval_of(waiting.plan), "operator")
        stale = plan_of(Wish(state="changed meanwhile", made_at=after(20)))
        with pytest.raises(RunRefused, match="is not what would be done now"):
            ledger.begin(stale, approved, after(20))
        assert ledger.get(waiting.plan.plan_id).run.state is RunState.REFUSED
        assert list(ledger.open_runs()) == []

    def test_a_plan_made_anew_cannot_bear_the_fingerprint_of_another(self, make: Make) -> None:
        ledger = make(WIDE)
        plan = ledger.propose(plan_of()).plan
        approved = ledger.approve(plan.plan_id, approval_of(plan), "operator")
        forged = replace(plan_of(Wish(services=("db",))), fingerprint=plan.fingerprint)
        with pytest.raises(RunRefused, match="not that of its content"):
            ledger.begin(forged, approved, after(20))

    def test_an_approval_holds_as_long_as_the_plan_might_wait(self, make: Make) -> None:
        ledger = make(WIDE)
        plan = ledger.propose(plan_of(Wish(approve=Approve(expires=60.0)))).plan
        approved = ledger.approve(plan.plan_id, approval_of(plan, 50.0), "operator")
        with pytest.raises(RunRefused, match="expired before it began"):
            ledger.begin(made_anew(plan, after(110)), approved, after(110))
        assert ledger.get(plan.plan_id).run.state is RunState.EXPIRED

    def test_a_run_that_another_process_has_changed_is_fenced(self, make: Make) -> None:
        ledger = make(WIDE)
        acting = begin(ledger, plan_of())
        step = StepRun(0, StepState.INTENDED, 1, after(21))
        changed = ledger.change(acting, RunChange(RunState.ACTING, after(21), (step,), "intends step 0"))
        assert changed.run.steps == (step,)
        assert changed.revision == acting.revision + 1
        assert [event.what for event in changed.run.events][-2:] == ["begins", "intends step 0"]
        with pytest.raises(FencedError):
            ledger.change(acting, RunChange(RunState.ACTING, after(22), (replace(step, tries=2),)))
        assert ledger.get(acting.plan.plan_id) == changed

    def test_states_follow_each_other_and_nothing_acts_without_begin(self, make: Make) -> None:
        ledger = make(WIDE)
        waiting = ledger.propose(plan_of())
        for state in (RunState.APPROVED, RunState.ACTING, RunState.CURED):
            with pytest.raises(ContractError):
                ledger.change(waiting, RunChange(state, after(1)))
        approved = ledger.approve(waiting.plan.plan_id, approval_of(waiting.plan), "operator")
        with pytest.raises(ContractError, match="begin only"):
            ledger.change(approved, RunChange(RunState.ACTING, after(11)))
        with pytest.raises(ContractError, match="no steps that run"):
            ledger.change(approved, RunChange(RunState.APPROVED, after(11), (StepRun(0, StepState.DONE),)))
        over = end(ledger, ledger.begin(waiting.plan, approved, after(12)), RunState.CURED, 30)
        with pytest.raises(ContractError, match="has ended"):
            ledger.change(over, RunChange(RunState.CURED, after(31), (), "more"))
        begun = begin(ledger, plan_of(Wish(incident="inc-2", made_at=after(31))), 40)
        with pytest.raises(ContractError, match=r"none of its plan"):
            ledger.change(begun, RunChange(RunState.ACTING, after(41), (StepRun(7, StepState.DONE),)))

    def test_a_person_says_no_until_it_acts(self, make: Make) -> None:
        ledger = make(WIDE)
        waiting = ledger.propose(plan_of())
        rejected = ledger.reject(waiting.plan.plan_id, "ann", after(5), "not on Friday")
        assert rejected.run.state is RunState.REFUSED
        assert (rejected.run.events[-1].by, rejected.run.events[-1].what) == ("ann", "rejected: not on Friday")
        acting = begin(ledger, plan_of(Wish(made_at=after(6))))
        with pytest.raises(RunRefused, match="state=acting"):
            ledger.reject(acting.plan.plan_id, "ann", after(30))

    @pytest.mark.parametrize(
        ("wish", "why"),
        [
            (Wish(services=("db",), target="process/cart"), "process/cart: run"),
            (Wish(services=("cart",), target="other"), "cart: run"),
            (Wish(services=("db", "mail")), "services=2"),
            (Wish(services=("db",), replica_share=0.5), "replica_share=0.50"),
        ],
    )
    def test_a_run_stays_within_its_bounds(self, make: Make, wish: Wish, why: str) -> None:
        ledger = make(WIDE)
        begin(ledger, plan_of())
        with pytest.raises(RunRefused, match=why):
            begin(ledger, plan_of(replace(wish, incident="inc-2")))
        assert begin(ledger, plan_of(Wish(services=("db",), incident="inc-3"))).run.state is RunState.ACTING

    def test_cool_down_counts_from_the_end_of_any_run_on_the_service(self, make: Make) -> None:
        ledger = make(WIDE)
        end(ledger, begin(ledger, plan_of(Wish(runbook="other"))), RunState.CURED, 100)
        wish = Wish(limits=Limits(cool_down=300.0), approve=Approve(expires=3600.0))
        with pytest.raises(RunRefused, match="cool_down lasts 1 s more"):
            begin(ledger, plan_of(replace(wish, incident="inc-2")), 399)
        assert begin(ledger, plan_of(replace(wish, incident="inc-3")), 400).run.state is RunState.ACTING

    def test_rates_of_a_runbook_and_of_all(self, make: Make) -> None:
        ledger = make(SuiteLimits(per_hour=3, per_day=4, application_share=1.0))
        slow = Approve(expires=90_000.0)
        wish = Wish(limits=Limits(cool_down=0.0, per_hour=2, per_day=3), approve=slow)

        def run(number: int, seconds: float, runbook: str = "restart") -> None:
            made = replace(wish, incident=f"inc-{number}", runbook=runbook)
            end(ledger, begin(ledger, plan_of(made), seconds), RunState.CURED, seconds)

        run(1, 100)
        run(2, 200)
        with pytest.raises(RunRefused, match="runs of restart in the last hour: 2, at most 2"):
            run(3, 300)
        run(4, 300, "scale")
        with pytest.raises(RunRefused, match="runs of all runbooks in the last hour: 3, at most 3"):
            run(5, 400, "scale")
        run(6, 3700)
        with pytest.raises(RunRefused, match="runs of restart in the last day: 3, at most 3") as refusal:
            run(7, 10_000)
        assert "all runbooks in the last day: 4, at most 4" in str(refusal.value)
        run(8, 86_500)

    def test_a_share_of_the_application_is_acted_on_at_once(self, make: Make) -> None:
        ledger = make(SuiteLimits(1000, 10_000, 0.34))  # of six services: two
        first = begin(ledger, plan_of(Wish(services=("cart",))))
        begin(ledger, plan_of(Wish(services=("web",), incident="inc-2")))
        with pytest.raises(RunRefused, match="3 of 6 services of the application would be acted on at once: at most 2"):
            begin(ledger, plan_of(Wish(services=("db",), incident="inc-3")))
        assert begin(ledger, plan_of(Wish(services=("elsewhere",), incident="inc-4"))).run.state is RunState.ACTING
        end(ledger, first, RunState.CURED, 30)
        assert begin(ledger, plan_of(Wish(services=("db",), incident="inc-5")), 40).run.state is RunState.ACTING

    def test_switched_off_nothing_is_approved_or_begun(self, make: Make) -> None:
        ledger = make(WIDE)
        assert ledger.switch().on
        acting = begin(ledger, plan_of(Wish(services=("db",), incident="inc-2")))
        waiting = ledger.propose(plan_of())
        approved = ledger.approve(waiting.plan.plan_id, approval_of(waiting.plan), "operator")
        off = Switch(False, after(20), "ann", "looks wrong", Remainder.UNDO)
        ledger.turn(off)
        assert ledger.switch() == off
        with pytest.raises(RunRefused, match=r"switched off by ann \(looks wrong\)"):
            ledger.begin(waiting.plan, approved, after(21))
        other = ledger.propose(plan_of(Wish(incident="inc-3", made_at=after(22))))
        with pytest.raises(RunRefused, match="switched off"):
            ledger.approve(other.plan.plan_id, approval_of(other.plan, 23), "admin")
        assert ledger.change(acting, RunChange(RunState.UNDOING, after(24))).run.state is RunState.UNDOING
        ledger.turn(Switch(True, after(25), "ann"))
        assert ledger.approve(other.plan.plan_id, approval_of(other.plan, 26), "admin").run.state is RunState.APPROVED

    def test_who_turns_the_switch_has_a_name(self, make: Make) -> None:
        ledger = make(WIDE)
        for nobody in (Switch(False), Switch(False, after(1)), Switch(False, after(1), " ")):
            with pytest.raises(ContractError, match="by"):
                ledger.turn(nobody)
        assert ledger.switch().on

    def test_fourteen_cures_of_fourteen_earn_and_thirteen_do_not(self, make: Make) -> None:
        ledger = make(WIDE)
        cured(ledger, 13)
        plan = plan_of(Wish(earn=EARNS, incident="inc-earned", made_at=after(500)))
        assert ledger.standing(plan).refusal == "13 cures of 13 runs: lower 95 % bound 0.79, needed 0.8 (14 of 14)"
        alone = Approval("suite", after(501), plan.fingerprint, earned=True)
        ledger.propose(plan)
        with pytest.raises(RunRefused, match="13 cures of 13"):
            ledger.approve(plan.plan_id, alone, "")
        cured(ledger, 1, first=300)
        approved = ledger.approve(plan.plan_id, alone, "")
        assert approved.run.approval == alone
        assert ledger.begin(plan, approved, after(502)).run.state is RunState.ACTING

    @pytest.mark.parametrize(
        ("wish", "why"),
        [
            (Wish(earn=None), "no earn"),
            (Wish(earn=EARNS, risk=Risk.HIGH), "high risk"),
            (Wish(earn=EARNS, risk=Risk.DESTRUCTIVE), "destructive risk"),
            (Wish(earn=EARNS, undo=""), "cannot be undone"),
            (Wish(earn=EARNS, runbook="other"), "0 cures of 0 runs"),
            (Wish(earn=EARNS, services=("db",)), "0 cures of 0 runs"),
        ],
    )
    def test_what_does_not_run_alone(self, make: Make, wish: Wish, why: str) -> None:
        ledger = make(WIDE)
        cured(ledger, 15, replace(wish, runbook="restart", services=("cart",)))
        made = replace(wish, incident="inc-earned", made_at=after(500))
        plan = ledger.propose(plan_of(made)).plan
        with pytest.raises(RunRefused, match=why):
            ledger.approve(plan.plan_id, Approval("suite", after(501), plan.fingerprint, earned=True), "admin")

    @pytest.mark.parametrize("state", [RunState.UNDONE, RunState.UNCLEAR, RunState.UNDO_FAILED])
    def test_an_undo_or_an_unclear_end_demotes(self, make: Make, state: RunState) -> None:
        ledger = make(WIDE)
        cured(ledger, 14)
        plan = plan_of(Wish(earn=EARNS, incident="inc-earned", made_at=after(500)))
        assert ledger.standing(plan).refusal == ""
        end(ledger, begin(ledger, plan_of(Wish(incident="inc-bad")), 200), state, 210)
        standing = ledger.standing(plan)
        assert (standing.cures, standing.runs, standing.demoted_at) == (0, 0, after(210))
        cured(ledger, 14, first=300)
        assert ledger.standing(plan).refusal == ""

    def test_what_was_lost_meanwhile_does_not_begin(self, make: Make) -> None:
        ledger = make(WIDE)
        cured(ledger, 14)
        plan = ledger.propose(plan_of(Wish(earn=EARNS, incident="inc-earned", made_at=after(500)))).plan
        approved = ledger.approve(plan.plan_id, Approval("suite", after(501), plan.fingerprint, earned=True), "")
        ledger.hold(Hold("restart", "cart", "ann", after(502)), held=True)
        with pytest.raises(RunRefused, match="held back by ann"):
            ledger.begin(plan, approved, after(503))

    def test_people_hold_back_what_was_earned(self, make: Make) -> None:
        ledger = make(WIDE)
        cured(ledger, 14)
        plan = plan_of(Wish(earn=EARNS, incident="inc-earned", made_at=after(500)))
        hold = Hold("restart", "cart", "ann", after(400), "audit week")
        ledger.hold(hold, held=True)
        ledger.hold(Hold("restart", "db", "ann", after(400)), held=True)
        assert ledger.standing(plan).refusal == "held back by ann"
        assert [(standing.service, standing.cures, standing.hold) for standing in ledger.standings()] == [
            ("cart", 14, hold),
            ("db", 0, Hold("restart", "db", "ann", after(400))),
        ]
        ledger.hold(hold, held=False)
        assert ledger.standing(plan).refusal == ""
        assert [standing.service for standing in ledger.standings()] == ["cart", "db"]

    def test_a_plan_of_long_ago_is_not_taken_for_an_open_one(self, make: Make) -> None:
        ledger = make(WIDE)
        old = ledger.propose(plan_of(Wish(approve=Approve(expires=60.0))))
        later = BEGAN + timedelta(hours=1)
        assert ledger.propose(plan_of(Wish(approve=Approve(expires=60.0), made_at=later))).plan.made_at == later
        assert old.plan.made_at == BEGAN
