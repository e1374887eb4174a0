"""A small world to act on: targets whose state is the truth, a run log in memory, and a clock that a test moves."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from aiops.automation.action import Action, ActionRequest, Outcome, PlannedStep, Risk
from aiops.automation.limits import SuiteLimits
from aiops.automation.memory_ledger import MemoryRunLedger
from aiops.automation.plan import Plan, PlanSubject, RunTerms, fingerprint_of, plan_id_of
from aiops.automation.run_ledger import PlannedRun, RunChange, Switch
from aiops.automation.runbook import Approve, Escalate, Limits, Verify
from aiops.automation.service_state import Finding, Judgement, ServiceState, Verdict
from aiops.errors import StepRefused, Unavailable
from tests.testing.deadlines import within

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
TIMEOUT_S = 30.0
WELL = ServiceState(0.0, 0.0, 0, 0, 100)
LOOKS = Judgement(WELL, ServiceState(9.0, 4.0, 2, 0, 100), WELL)


class ProcessDied(BaseException):
    """The process is gone at this point: nothing after it happens."""


def step_of(number: int, undo: bool = True, retries: int = 0) -> PlannedStep:
    """Return a step that turns the target of its number from old to new."""
    words = "set it back" if undo else ""
    target = f"target/{number}"
    state = ({"value": "old"}, {"value": "new"})
    return PlannedStep(number, "fake", "cart", target, {}, *state, "old → new", Risk.LOW, words, 1.0, TIMEOUT_S, retries)


def plan_of(steps: Sequence[PlannedStep], verify: Verify | None = None, made_at: datetime = NOON) -> Plan:
    """Return a plan of steps for an incident of the service cart."""
    subject = PlanSubject("inc-1", "cart", "front", made_at - timedelta(minutes=5), 0.9)
    terms = RunTerms(Limits(replica_share=1.0), verify or Verify(), Approve(), None, Escalate())
    fingerprint = fingerprint_of("v1", subject, steps, ())
    plan_id = plan_id_of("inc-1", "roll-back", fingerprint, made_at)
    texts = ("roll-back", "v1", "Roll back")
    return Plan(plan_id, *texts, subject, made_at, "suite", tuple(steps), (), ("front",), "it heals", terms, fingerprint)


@dataclass(slots=True)
class FakeTarget:
    """What a step acts on. `truth` is its state; `script` says what the next calls do: "ok", "refuse", "lost" (nothing happens,
    the answer is lost), "unheard" (it happens, the answer is lost), "die before" and "die after" the effect, "half", "meddle"
    (somebody else changes it), "ignore" (taken, and nothing happens). `silent` probes do not answer."""

    truth: str = "old"
    script: list[str] = field(default_factory=list)
    silent: int = 0
    effects: list[str] = field(default_factory=list)
    held: threading.Event | None = None
    """calls do not come back before it is set, and do nothing then"""

    def change(self, before: str, after: str) -> None:
        """Go from a state into another, as the script says."""
        if self.held is not None:
            self.held.wait(within(60))
            return
        doing = self.script.pop(0) if self.script else "ok"
        if doing == "die before":
            raise ProcessDied
        if doing == "meddle":
            self.truth = "other"
        if doing == "refuse" or (self.truth != before and doing not in ("ignore", "lost")):
            raise StepRefused(f"state={self.truth} is not {before}")
        if doing in ("ok", "unheard", "die after"):
            self.truth = after
            self.effects.append(after)
        if doing == "half":
            self.truth = "half"
            self.effects.append("half")
        if doing == "die after":
            raise ProcessDied
        if doing in ("lost", "unheard", "half"):
            raise Unavailable("the target did not answer")

    def outcome(self) -> Outcome:
        """Return in which state it is."""
        if self.silent > 0:
            self.silent -= 1
            return Outcome.UNKNOWN
        return {"old": Outcome.OLD, "new": Outcome.NEW}.get(self.truth, Outcome.OTHER)


@dataclass(frozen=True, slots=True)
class FakeActions:
    """Both halves of the action "fake" over targets by step number."""

    targets: dict[int, FakeTarget]
    kind: str = "fake"
    risk: Risk = Risk.LOW

    def plan(self, request: ActionRequest) -> PlannedStep:
        """Return the step of the number that is asked for."""
        return replace(step_of(int(str(request.parameters["number"]))), number=0)

    def probe(self, step: PlannedStep, key: str = "") -> Outcome:
        """Return in which state the target of a step is."""
        return self.targets[step.number].outcome()

    def apply(self, step: PlannedStep, key: str) -> None:
        """Bring it from old to new."""
        self.targets[step.number].change("old", "new")

    def undo(self, step: PlannedStep, key: str) -> None:
        """Bring it from new to old."""
        self.targets[step.number].change("new", "old")

    @property
    def action(self) -> Action:
        """Return both halves."""
        return Action(self, self)


class FakeLedger(MemoryRunLedger):
    """A run log in memory; `dies` = whether the process dies just before a change is stored, `unread` = the switch is."""

    def __init__(self) -> None:
        super().__init__(SuiteLimits(10_000, 10_000, 1.0))
        self.dies: Callable[[], bool] = lambda: False
        self.unread = False

    def change(self, planned: PlannedRun, change: RunChange) -> PlannedRun:
        """Store what a run becomes."""
        if self.dies():
            raise ProcessDied
        return super().change(planned, change)

    def switch(self) -> Switch:
        """Return the switch."""
        return Switch(False) if self.unread else super().switch()


@dataclass(slots=True)
class SamePlan:
    """A planner to whom nothing has changed; `anew_as` = what the plan would be now."""

    anew_as: Plan | None = None

    def anew(self, plan: Plan, at: datetime) -> Plan:
        """Return the plan as it would be made now."""
        return self.anew_as or plan


@dataclass(slots=True)
class FixedLooks:
    """Services that look the same whoever asks."""

    looks: Judgement = LOOKS

    def of(self, planned: PlannedRun, at: datetime) -> Judgement:
        """Return three looks."""
        return self.looks


def finding(verdict: Verdict, known: bool = True) -> Finding:
    """Return a finding."""
    return Finding(verdict, "by the numbers", known)
