"""A thousand runs carried out by processes that die at any call: no bound is exceeded, no approval bypassed, nothing repeated.

A process dies just before or just after a transaction of the run log, or just before or after an effect. What is seen is judged
by what is written here; an executor that repeats what it finds begun is the control.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiops.automation.action import Action, ActionRequest, Outcome, PlannedStep, Risk
from aiops.automation.limits import SuiteLimits
from aiops.automation.memory_ledger import MemoryRunLedger
from aiops.automation.moves import Probe
from aiops.automation.plan import Plan, PlanSubject, RunTerms, fingerprint_of, plan_id_of
from aiops.automation.run import Approval, RunState, StepState
from aiops.automation.run_ledger import PlannedRun, Remainder, RunChange, Switch
from aiops.automation.runbook import Approve, Escalate, Limits, Verify
from aiops.automation.service_state import Finding, Judgement, Verdict
from aiops.automation.step_tries import planned_step, step_run
from aiops.errors import RunRefused, StepRefused, Unavailable
from serving.automation.runner.bounded_calls import DirectCalls
from serving.automation.runner.run_executor import Advance, ExecutorParts, RunExecutor
from tests.testing.automation_world import NOON, FixedLooks, ProcessDied
from tests.testing.clocks import MovedClock

SERVICES: Final = 5
AT_ONCE: Final = 2
PER_HOUR: Final = 4
COOL_DOWN_S: Final = 60.0
TIMEOUT_S: Final = 10.0
MOST_ROUNDS: Final = 400
RUNS: Final = 1000


@dataclass(slots=True)
class Fate:
    """What happens at the next calls, in order: nothing, or a death before or after it."""

    deaths: list[str] = field(default_factory=list)

    def next(self) -> str:
        """Return what happens now."""
        return self.deaths.pop() if self.deaths else ""


class DyingLedger(MemoryRunLedger):
    """A run log whose caller dies just before or just after its transactions."""

    def __init__(self, fate: Fate) -> None:
        super().__init__(SuiteLimits(PER_HOUR, 1000, AT_ONCE / SERVICES), lambda _: frozenset(map(service, range(SERVICES))))
        self._fate = fate

    def propose(self, plan: Plan) -> PlannedRun:
        """Store a plan."""
        with dying(self._fate):
            return super().propose(plan)

    def begin(self, fresh: Plan, planned: PlannedRun, at: datetime) -> PlannedRun:
        """Let a run begin."""
        with dying(self._fate):
            return super().begin(fresh, planned, at)

    def change(self, planned: PlannedRun, change: RunChange) -> PlannedRun:
        """Store what a run becomes."""
        with dying(self._fate):
            return super().change(planned, change)


@contextmanager
def dying(fate: Fate) -> Iterator[None]:
    """Die before or after what is inside, as the fate says."""
    when = fate.next()
    if when == "before":
        raise ProcessDied
    yield
    if when == "after":
        raise ProcessDied


@dataclass(slots=True)
class Targets:
    """Targets that do what they are told whatever their state is; each effect is written down with the moment."""

    fate: Fate
    clock: MovedClock
    kind: str = "fake"
    risk: Risk = Risk.LOW
    effects: list["Effect"] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """what happens to the next calls: "" = all is well, "refuse", "lost" and "unheard" answers"""

    def plan(self, request: ActionRequest) -> PlannedStep:
        """Return the step that brings the target of a service from old to new."""
        target = str(request.parameters["target"])
        states = ({"value": "old"}, {"value": "new"})
        return PlannedStep(0, "fake", request.service, target, {}, *states, "old → new", self.risk, "back", 1.0, TIMEOUT_S, 1)

    def probe(self, step: PlannedStep, key: str = "") -> Outcome:
        """Return in which state a target is."""
        return Outcome.NEW if self.state(step.target) == "new" else Outcome.OLD

    def apply(self, step: PlannedStep, key: str) -> None:
        """Bring it from old to new."""
        self._change(step, key, "new")

    def undo(self, step: PlannedStep, key: str) -> None:
        """Bring it from new to old."""
        self._change(step, key, "old")

    def state(self, target: str) -> str:
        """Return the state of a target."""
        return next((effect.state for effect in reversed(self.effects) if effect.target == target), "old")

    def _change(self, step: PlannedStep, key: str, state: str) -> None:
        doing = self.lost.pop() if self.lost else ""
        if doing == "refuse":
            raise StepRefused("not now")
        with dying(self.fate):
            if doing != "lost":
                self.effects.append(Effect(step.target, step.service, key.split("-", maxsplit=1)[0], state))
        if doing:
            raise Unavailable("no answer")


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that was done: to which target of which service, for which run, into which state."""

    target: str
    service: str
    run_id: str
    state: str


@dataclass(slots=True)
class SamePlans:
    """A planner to whom nothing changes."""

    def anew(self, plan: Plan, at: datetime) -> Plan:
        """Return the plan."""
        return plan


def service(number: int) -> str:
    return f"service-{number}"


@dataclass(frozen=True, slots=True)
class Wished:
    """A plan that somebody wants: on which service, by how many steps, and what follows it."""

    on: int
    steps: int
    who: str
    worse: bool


@dataclass(slots=True)
class Story:
    """Processes one after another over one run log; what an observer sees of it."""

    wishes: list[Wished]
    fate: Fate
    lost: list[str]
    turns: list[bool]
    clock: MovedClock = field(default_factory=lambda: MovedClock(NOON))
    repeats: bool = False
    faults: Counter[str] = field(default_factory=Counter)
    approved: set[str] = field(default_factory=set)
    worse: dict[str, bool] = field(default_factory=dict)
    ledger: DyingLedger = field(init=False)
    targets: Targets = field(init=False)
    current: PlannedRun | None = None

    def __post_init__(self) -> None:
        """Make run log and targets."""
        self.ledger = DyingLedger(self.fate)
        self.targets = Targets(self.fate, self.clock, lost=self.lost)

    def run(self) -> None:
        """Carry out all to the end."""
        for number, wish in enumerate(self.wishes):
            self._ask(number, wish)
        executor = self._executor()
        for _ in range(MOST_ROUNDS):
            if self.turns:
                self.ledger.turn(Switch(self.turns.pop(), self.clock(), "ann", remainder=Remainder.FINISH))
            open_runs = self.ledger.open_runs()
            if not open_runs:
                break
            try:
                advances = [self._advance(executor, planned) for planned in open_runs]
            except ProcessDied:
                executor = self._executor()
                continue
            self.clock.pass_s(0.1)
            if not any(advance.changed for advance in advances):
                self.clock.now = max(self.clock.now, min(advance.until or self.clock.now for advance in advances))
        self._judge_end()

    def _ask(self, number: int, wish: Wished) -> None:
        at = self.clock()
        plan = plan_of(number, wish, self.targets, at)
        self._proposed(plan)
        self.worse[plan.plan_id] = wish.worse
        role = {"ann": "operator", "eve": "viewer", "suite": "admin", "forger": "admin", "nobody": ""}[wish.who]
        fingerprint = plan.fingerprint if wish.who != "forger" else "0" * 64
        if wish.who == "ann":
            self.approved.add(plan.plan_id)
        with suppress(RunRefused):
            if role:
                self.ledger.approve(plan.plan_id, Approval(wish.who, at, fingerprint), role)

    def _proposed(self, plan: Plan) -> PlannedRun:
        """Propose a plan, again and again where the process dies."""
        while True:
            with suppress(ProcessDied):
                return self.ledger.propose(plan)

    def _executor(self) -> RunExecutor:
        actions = {"fake": Action(self.targets, self.targets)}
        looks = FixedLooks()
        return RunExecutor(ExecutorParts(self.ledger, actions, SamePlans(), looks, self._finding, self.clock, DirectCalls()))

    def _finding(self, verify: Verify, looks: Judgement) -> Finding:
        del verify, looks
        assert self.current is not None
        harm = self.worse[self.current.run.run_id] and self.current.run.state is RunState.SETTLING
        return Finding(Verdict.WORSE if harm else Verdict.BETTER, "so")

    def _advance(self, executor: RunExecutor, planned: PlannedRun) -> Advance:
        self.current, effects = planned, len(self.targets.effects)
        move = executor.move(planned)
        try:
            if self.repeats and isinstance(move, Probe):
                self._repeat(planned, move.number)
            return executor.advance(planned, move)
        finally:
            for effect in self.targets.effects[effects:]:
                self._judge_effect(effect)
            self._judge_bounds()

    def _repeat(self, planned: PlannedRun, number: int) -> None:
        """Do once more what was begun, as the control does."""
        undo = step_run(planned.run, number).state is StepState.UNDO_INTENDED
        with suppress(StepRefused, Unavailable):
            step = planned_step(planned, number)
            (self.targets.undo if undo else self.targets.apply)(step, f"{planned.run.run_id}-{number}")

    def _judge_effect(self, effect: Effect) -> None:
        planned = self.ledger.get(effect.run_id)
        step = next(each for each in planned.plan.steps if each.target == effect.target)
        intents = (StepState.INTENDED, StepState.UNDO_INTENDED)
        wrongs = {
            "not approved": effect.run_id not in self.approved,
            "without an intent": step_run(planned.run, step.number).state not in intents,
            "while not acting": planned.run.state not in (RunState.ACTING, RunState.UNDOING),
        }
        self.faults.update(name for name, wrong in wrongs.items() if wrong)

    def _judge_bounds(self) -> None:
        runs = [self.ledger.get(name) for name in self.worse]
        acting = [planned for planned in runs if planned.run.began_at is not None and not planned.run.has_ended]
        hour_ago = self.clock() - timedelta(hours=1)
        begun = [planned.run.began_at for planned in runs if planned.run.began_at is not None]
        services = Counter(name for planned in acting for name in planned.plan.services)
        wrongs = {
            "too many at once": len(acting) > AT_ONCE,
            "two on a service": any(count > 1 for count in services.values()),
            "too many in an hour": sum(at > hour_ago for at in begun) > PER_HOUR,
        }
        self.faults.update(name for name, wrong in wrongs.items() if wrong)

    def _judge_end(self) -> None:
        self.faults["goes on for ever"] += len(self.ledger.open_runs())
        states: dict[str, list[str]] = {}
        for effect in self.targets.effects:
            states.setdefault(effect.target, []).append(effect.state)
        for seen in states.values():
            self.faults["repeated"] += any(first == then for first, then in pairwise(seen))
        for planned in map(self.ledger.get, self.worse):
            for step in planned.run.steps:
                state = self.targets.state(planned_step(planned, step.number).target)
                said = {StepState.DONE: "new", StepState.UNDONE: "old", StepState.PENDING: "old", StepState.REFUSED: "old"}
                self.faults["not as the log says"] += said.get(step.state, state) != state
        self.faults = +self.faults


def plan_of(number: int, wish: Wished, targets: Targets, made_at: datetime) -> Plan:
    name = service(wish.on)
    parts = range(1, wish.steps + 1)
    requests = [ActionRequest("fake", name, {"target": f"{name}/{number}/{part}"}) for part in parts]
    steps = [replace(targets.plan(request), number=part) for part, request in zip(parts, requests, strict=True)]
    subject = PlanSubject(f"inc-{number}", name, name, made_at - timedelta(minutes=5), 0.9)
    limits = Limits(replica_share=1.0, per_hour=PER_HOUR, per_day=1000, cool_down=COOL_DOWN_S)
    terms = RunTerms(limits, Verify(settle=1.0, window=4.0), Approve(), None, Escalate())
    fingerprint = fingerprint_of("v1", subject, steps, ())
    plan_id = plan_id_of(f"inc-{number}", "fake", fingerprint, made_at)
    return Plan(plan_id, "fake", "v1", "Do it", subject, made_at, "suite", tuple(steps), (), (), "", terms, fingerprint)


WISHES = st.builds(
    Wished,
    st.integers(0, SERVICES - 1),
    st.integers(1, 2),
    st.sampled_from(["ann"] * 6 + ["eve", "suite", "forger", "nobody"]),
    st.booleans(),
)
FATES = st.builds(Fate, st.lists(st.sampled_from(["", "", "", "before", "after"]), max_size=40))
STORIES = st.builds(
    Story,
    st.lists(WISHES, min_size=3, max_size=8),
    FATES,
    st.lists(st.sampled_from(["", "", "refuse", "lost", "unheard"]), max_size=12),
    st.lists(st.booleans(), max_size=4),
)
RANDOMISED = settings(
    max_examples=300, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@pytest.mark.slow
def test_no_death_makes_a_run_do_more_than_it_may() -> None:
    begun: Counter[bool] = Counter()

    @RANDOMISED
    @given(STORIES)
    def through_deaths(story: Story) -> None:
        story.run()
        begun.update(story.ledger.get(name).run.began_at is not None for name in story.worse)
        assert story.faults == {}

    through_deaths()
    assert begun.total() >= RUNS
    assert begun[True] >= RUNS / 5, "what never begins proves nothing"


@pytest.mark.slow
def test_what_repeats_is_detected() -> None:
    seen: Counter[str] = Counter()

    @settings(RANDOMISED, max_examples=100)
    @given(STORIES)
    def repeating(story: Story) -> None:
        story.repeats = True
        story.run()
        seen.update(story.faults)

    repeating()
    assert seen["repeated"] > 0
