"""Calls into systems of others, each in a thread of its own: what does not come back in time is left behind, and known to be."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from aiops.automation.action import ActionPlanner, Outcome, PlannedStep
from aiops.automation.step_tries import Call
from aiops.errors import AiopsError, StepRefused, legible

PROBE_S: Final = 10.0
"""How long a target may take to say how it is."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallResult:
    """What is known of a call, and what the target said."""

    call: Call
    why: str = ""


class RunningCall(Protocol):
    """A call that has been begun."""

    def result(self, patience_s: float) -> CallResult:
        """Return what is known of it after waiting for it up to `patience_s`."""
        ...


class Calls(Protocol):
    """How calls are made."""

    def begin(self, work: Callable[[], None]) -> RunningCall:
        """Begin a call; it goes on whether or not anybody waits for it."""
        ...


@dataclass(slots=True)
class _ThreadedCall:
    ended: threading.Event = field(default_factory=threading.Event)
    came_to: CallResult = CallResult(Call.HANGING)

    def work(self, work: Callable[[], None]) -> None:
        self.came_to = called(work)
        self.ended.set()

    def result(self, patience_s: float) -> CallResult:
        """Return what is known of it."""
        return self.came_to if self.ended.wait(patience_s) else CallResult(Call.HANGING)


class ThreadedCalls:
    """Each call in a daemon thread: one that never comes back does not keep the process from ending."""

    def begin(self, work: Callable[[], None]) -> RunningCall:
        """Begin a call."""
        call = _ThreadedCall()
        threading.Thread(target=call.work, args=(work,), name="action", daemon=True).start()
        return call


@dataclass(frozen=True, slots=True)
class _EndedCall:
    came_to: CallResult

    def result(self, patience_s: float) -> CallResult:
        """Return what it came to."""
        return self.came_to


class DirectCalls:
    """Each call in the calling thread: for simulated targets, which answer at once."""

    def begin(self, work: Callable[[], None]) -> RunningCall:
        """Make a call."""
        return _EndedCall(called(work))


def called(work: Callable[[], None]) -> CallResult:
    """Make a call and return what it came to; only a refusal says that nothing was changed."""
    try:
        work()
    except StepRefused as error:
        return CallResult(Call.REFUSED, legible(error))
    except AiopsError as error:
        return CallResult(Call.BROKEN, legible(error))
    except Exception as error:  # a fault in an action: what it did before is not known
        log.exception("an action failed in a way that it must not")
        return CallResult(Call.BROKEN, legible(f"{type(error).__name__}: {error}"))
    return CallResult(Call.RETURNED)


def probed(calls: Calls, planner: ActionPlanner, step: PlannedStep, key: str = "", patience_s: float = PROBE_S) -> Outcome:
    """Return in which state the target of a step is; unknown where it does not answer in time. `key`: of the step's tries."""
    answers: list[Outcome] = []
    result = calls.begin(lambda: answers.append(planner.probe(step, key))).result(patience_s)
    return answers[0] if result.call is Call.RETURNED and answers else Outcome.UNKNOWN
