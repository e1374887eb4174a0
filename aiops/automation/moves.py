"""What can be done next with a run, as values: the rules choose one of them, a runner carries it out."""

from dataclasses import dataclass
from datetime import datetime

from aiops.automation.run_ledger import RunChange


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is to be done before `until`; None = before somebody changes something."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class Begin:
    """The plan is made anew, bounds are counted, and the run may act."""


@dataclass(frozen=True, slots=True)
class Act:
    """A step is brought into effect, or taken back; its intent is committed before."""

    number: int
    undo: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """An intent without a known outcome: the target is read, nothing is repeated."""

    number: int


@dataclass(frozen=True, slots=True)
class Judge:
    """It is judged whether it helped; not `last` = only whether it harms, looked at again at `until`."""

    last: bool
    until: datetime


@dataclass(frozen=True, slots=True)
class Become:
    """The run becomes something else."""

    change: RunChange


Move = Wait | Begin | Act | Probe | Judge | Become
