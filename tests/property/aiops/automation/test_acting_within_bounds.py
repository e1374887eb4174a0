"""Whatever people and processes try, in whatever order: no bound is exceeded, no approval bypassed, no service acted on twice.

The history is judged by what is written here, not by the rules that the run log goes by; a run log without rules is the control.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiops.automation.limits import SuiteLimits
from aiops.automation.memory_ledger import MemoryRunLedger
from aiops.automation.plan import Plan
from aiops.automation.run import Approval, RunState
from aiops.automation.run_changes import Decision
from aiops.automation.run_ledger import PlannedRun, RunChange, RunLedger, Switch
from aiops.automation.runbook import Approve, Limits
from aiops.errors import ContractError, FencedError, RunRefused
from tests.testing.made_plans import Wish, after, made_anew, plan_of

SERVICES = ("cart", "db", "mail", "pay", "search", "web")
PER_HOUR, PER_DAY, SHARE_OF_SIX = 4, 9, 2
SUITE = SuiteLimits(PER_HOUR, PER_DAY, 0.34)
COOL_DOWN_S, EXPIRES_S, OWN_PER_HOUR = 300.0, 900.0, 3
ENDS = (RunState.CURED, RunState.UNDONE, RunState.UNCLEAR, RunState.FAILED)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody tries, `wait_s` after what was tried before."""

    what: str
    which: int
    who: str
    wait_s: float


@dataclass(slots=True)
class Acted:
    plan: Plan
    approval: Approval
    role: str
    began: float
    ended: float | None = None


@dataclass(slots=True)
class History:
    """What has happened, as an observer writes it down."""

    acted: list[Acted] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)
    off: bool = False
    faults: list[str] = field(default_factory=list)

    def begins(self, planned: PlannedRun, seconds: float) -> None:
        """Judge a run that begins, then write it down."""
        plan, approval = planned.plan, planned.run.approval
        if approval is None or self.roles.get(plan.plan_id) not in ("operator", "admin"):
            self.faults.append("no approval by who may")
            return
        open_runs = [run for run in self.acted if run.ended is None]
        taken = {service for run in open_runs for service in run.plan.services} & set(plan.services)
        cooling = [run for run in self.acted if run.ended is not None and seconds - run.ended < COOL_DOWN_S]
        hour = [run for run in self.acted if run.began > seconds - 3600]
        wrongs = {
            "switched off": self.off,
            "approval of something else": approval.fingerprint != plan.fingerprint,
            "approval too old": approval.at >= plan.expires_at or after(seconds) - approval.at >= timedelta(seconds=EXPIRES_S),
            "two runs on a service": bool(taken),
            "cool-down": any(set(run.plan.services) & set(plan.services) for run in cooling),
            "rate of an hour": len(hour) >= PER_HOUR,
            "rate of a runbook": sum(run.plan.runbook == plan.runbook for run in hour) >= OWN_PER_HOUR,
            "rate of a day": sum(run.began > seconds - 86_400 for run in self.acted) >= PER_DAY,
            "share of the application": len({run.plan.services for run in open_runs}) >= SHARE_OF_SIX,
        }
        self.faults += [name for name, wrong in wrongs.items() if wrong]
        self.acted.append(Acted(plan, approval, self.roles[plan.plan_id], seconds))

    def ends(self, planned: PlannedRun, seconds: float) -> None:
        """Write down that a run has ended."""
        for run in self.acted:
            if run.plan.plan_id == planned.plan.plan_id and planned.run.has_ended:
                run.ended = seconds


class CarelessLedger(MemoryRunLedger):
    """The control: it lets everything begin that is asked for."""

    def begin(self, fresh: Plan, planned: PlannedRun, at: object) -> PlannedRun:
        del fresh
        acting = replace(planned.run, state=RunState.ACTING, changed_at=at)  # type: ignore[arg-type]
        return self._decided(Decision(PlannedRun(planned.plan, acting, planned.revision + 1)))


class Trial:
    """Several actors on one run log."""

    def __init__(self, ledger: RunLedger) -> None:
        self.ledger = ledger
        self.history = History()
        self.seconds = 0.0
        self.known: list[PlannedRun] = []

    def attempt(self, attempt: Attempt) -> None:
        """Try something; what is refused is refused."""
        self.seconds += attempt.wait_s
        try:
            getattr(self, attempt.what)(attempt)
        except (RunRefused, FencedError, ContractError):
            return

    def propose(self, attempt: Attempt) -> None:
        service = SERVICES[attempt.which % len(SERVICES)]
        runbook = ("restart", "scale")[attempt.which % 2]
        limits = Limits(cool_down=COOL_DOWN_S, per_hour=OWN_PER_HOUR)
        named = Wish(
            (service,), runbook, f"inc-{self.seconds}", after(self.seconds), limits=limits, approve=Approve(expires=EXPIRES_S)
        )
        self.known.append(self.ledger.propose(plan_of(named)))

    def approve(self, attempt: Attempt) -> None:
        planned = self._of(attempt)
        role = {"ann": "operator", "eve": "viewer", "root": "admin", "suite": "admin"}[attempt.who]
        fingerprint = planned.plan.fingerprint if attempt.which % 5 else "0" * 64
        self.ledger.approve(planned.plan.plan_id, Approval(attempt.who, after(self.seconds), fingerprint), role)
        self.history.roles[planned.plan.plan_id] = "" if attempt.who == "suite" else role

    def begin(self, attempt: Attempt) -> None:
        planned = self._of(attempt)
        current = self.ledger.get(planned.plan.plan_id) if attempt.which % 4 else planned
        begun = self.ledger.begin(made_anew(current.plan, after(self.seconds)), current, after(self.seconds))
        self.history.begins(begun, self.seconds)

    def end(self, attempt: Attempt) -> None:
        current = self.ledger.get(self._of(attempt).plan.plan_id)
        state = (*ENDS, RunState.ACTING, RunState.SETTLING, RunState.UNDOING, RunState.CHECKING)[attempt.which % 8]
        self.history.ends(self.ledger.change(current, RunChange(state, after(self.seconds))), self.seconds)

    def whole(self, attempt: Attempt) -> None:
        """Propose, approve and begin at once."""
        self.propose(attempt)
        planned = self.known[-1]
        self.ledger.approve(planned.plan.plan_id, Approval("ann", after(self.seconds), planned.plan.fingerprint), "operator")
        self.history.roles[planned.plan.plan_id] = "operator"
        current = self.ledger.get(planned.plan.plan_id)
        begun = self.ledger.begin(made_anew(current.plan, after(self.seconds)), current, after(self.seconds))
        self.history.begins(begun, self.seconds)

    def turn(self, attempt: Attempt) -> None:
        on = attempt.which % 3 > 0
        self.ledger.turn(Switch(on, after(self.seconds), attempt.who))
        self.history.off = not on

    def reject(self, attempt: Attempt) -> None:
        self.ledger.reject(self._of(attempt).plan.plan_id, attempt.who, after(self.seconds))

    def _of(self, attempt: Attempt) -> PlannedRun:
        if not self.known:
            raise ContractError("there is no plan yet")
        return self.known[-1 - attempt.which % min(6, len(self.known))]


WHAT = st.sampled_from(["whole"] * 6 + ["propose"] * 2 + ["approve"] * 3 + ["begin"] * 3 + ["end"] * 4 + ["turn", "reject"])
WHO = st.sampled_from(["ann"] * 4 + ["root", "eve", "suite"])
WAITS = st.sampled_from([0.0, 1.0, 1.0, 10.0, 60.0, 200.0, 901.0, 3000.0])
ATTEMPTS = st.lists(st.builds(Attempt, WHAT, st.integers(0, 119), WHO, WAITS), min_size=15, max_size=40)
RANDOMISED = settings(
    max_examples=1000, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def history_of(ledger: RunLedger, attempts: list[Attempt]) -> History:
    trial = Trial(ledger)
    for attempt in attempts:
        trial.attempt(attempt)
    return trial.history


def test_no_bound_is_exceeded_and_no_approval_bypassed() -> None:
    begun = 0

    @RANDOMISED
    @given(ATTEMPTS)
    def within_bounds(attempts: list[Attempt]) -> None:
        nonlocal begun
        history = history_of(MemoryRunLedger(SUITE, lambda _: frozenset(SERVICES)), attempts)
        begun += len(history.acted)
        assert history.faults == []

    within_bounds()
    assert begun > 1000, "what never begins proves nothing"


def test_a_run_log_without_rules_is_detected() -> None:
    seen: set[str] = set()

    @settings(RANDOMISED, max_examples=200)
    @given(ATTEMPTS)
    def careless(attempts: list[Attempt]) -> None:
        seen.update(history_of(CarelessLedger(SUITE), attempts).faults)

    careless()
    assert {"no approval by who may", "two runs on a service", "switched off", "cool-down"} <= seen
