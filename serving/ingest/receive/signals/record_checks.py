"""Checks of records, vectorised: the first rule a record breaks is its reason; words are made for refused ones only."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from aiops.types import IntArray
from data_contracts.telemetry.rejects import MOST_DETAIL, Refusal
from data_contracts.telemetry.validate import EARLIEST
from data_contracts.values.moments import EPOCH, microseconds_of, moment_of_us
from serving.ingest.receive.signals.signal_outcome import SignalIntake

Mask = npt.NDArray[np.bool_]
Words = Callable[[int], Refusal]
"""Says of a row why it is refused."""
_EARLIEST_US = microseconds_of(EARLIEST)


@dataclass(slots=True)
class RecordChecks:
    """The rules in order of precedence, and which of `count` rows break one."""

    count: int
    _words: list[Words] = field(default_factory=list)
    _broken: IntArray = field(init=False)

    def __post_init__(self) -> None:
        self._broken = np.full(self.count, -1, np.int64)

    def refuse(self, rows: Mask, words: Words) -> None:
        """Refuse rows that no earlier rule refused."""
        self._broken[rows & (self._broken < 0)] = len(self._words)
        self._words.append(words)

    def refuse_time(self, at_us: IntArray, field_name: str, intake: SignalIntake) -> None:
        """Refuse times before 2000 and further ahead of the arrival than is tolerated."""
        latest_us = microseconds_of(intake.available_at) + intake.future_tolerance_s * 1_000_000
        early = "is before 2000-01-01: times are ns since 1970 UTC: mend the sender's clock or unit"
        self.refuse(at_us < _EARLIEST_US, lambda row: _time(at_us, row, field_name, "bad_timestamp", early))
        ahead = f"is more than {intake.future_tolerance_s} s ahead of {intake.available_at.isoformat()}: mend the sender's clock"
        self.refuse(at_us > latest_us, lambda row: _time(at_us, row, field_name, "future_timestamp", ahead))

    @property
    def kept(self) -> IntArray:
        """Return the rows that break no rule."""
        return np.flatnonzero(self._broken < 0)

    def refusals(self) -> dict[int, Refusal]:
        """Return why each refused row is, ascending."""
        rows: Any = np.flatnonzero(self._broken >= 0)
        return {row: self._words[self._broken[row]](row) for row in rows.tolist()}


def _time(at_us: IntArray, row: int, field_name: str, reason: str, rule: str) -> Refusal:
    return Refusal(reason, field_name, f"{field_name} {_shown(int(at_us[row]))} {rule}"[:MOST_DETAIL])


def _shown(at_us: int) -> str:
    last: datetime = datetime.max.replace(tzinfo=UTC)
    return moment_of_us(at_us).isoformat() if at_us <= (last - EPOCH).total_seconds() * 1e6 else f"{at_us} µs"
