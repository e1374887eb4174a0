"""Whole counts by minute and number: exact sums, so that neither order nor batches of rows change what a minute says."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from aiops.types import IntArray, State

MINUTE_US: Final = 60_000_000
KEY_BITS: Final = 37
"""A number that is counted lies in [0, 2**37)."""
_NEVER: Final = -1
_LAST_MINUTE: Final = 1 << 26
_MERGED_FROM: Final = 1 << 16
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MinuteCount:
    """One minute that is over: its number since 1970 UTC, numbers (n,) ascending, their counts (n,)."""

    minute: int
    keys: IntArray
    counts: IntArray

    @property
    def end_us(self) -> int:
        """Return the end of the minute, µs since 1970 UTC."""
        return (self.minute + 1) * MINUTE_US

    def where(self, rows: Mask) -> "MinuteCount":
        """Return the counts of these rows (n,)."""
        return MinuteCount(self.minute, self.keys[rows], self.counts[rows])


@dataclass(slots=True)
class MinuteCells:
    """Counts of open minutes. Memory: 16 B a cell that is not 0, and 1 MiB or as much again of rows not yet added up."""

    most_minutes: int
    late: int = 0
    """Rows of minutes that were closed."""
    ahead: int = 0
    """Rows more than `most_minutes` beyond what is closed (before anything is: of one more minute), and not from 1970 to 2097."""
    _closed: int = _NEVER
    _open: set[int] = field(default_factory=set)
    _cells: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    _counts: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    _added: list[tuple[IntArray, IntArray]] = field(default_factory=list)
    _rows: int = 0

    def admitted(self, minute: IntArray) -> Mask:
        """Return which rows (n,) of these minutes count, and count those that do not. A minute is open from its first row on."""
        late = (minute <= self._closed) & (minute >= 0)
        fits = ~late & (minute >= 0) & (minute < _LAST_MINUTE)
        if self._closed != _NEVER:
            fits &= minute <= self._closed + self.most_minutes
        minutes, first, place = np.unique(minute[fits], return_index=True, return_inverse=True)
        taken = np.ones(len(minutes), np.bool_)
        for number in np.argsort(first).tolist():
            known = int(minutes[number]) in self._open
            taken[number] = known or self._closed != _NEVER or len(self._open) < self.most_minutes
            if taken[number]:
                self._open.add(int(minutes[number]))
        fits[fits] = taken[place]
        self.late += int(late.sum())
        self.ahead += int((~fits & ~late).sum())
        return fits

    def add(self, minute: IntArray, keys: IntArray, counts: IntArray) -> None:
        """Add counts (n,) to numbers (n,) of admitted minutes (n,)."""
        self._added.append(((minute << KEY_BITS) | keys, counts))
        self._rows += len(keys)
        if self._rows > max(_MERGED_FROM, len(self._cells)):
            self._merge()

    def close(self, end_us: int) -> Iterator[MinuteCount]:
        """Yield the minutes with rows that end by `end_us`, ascending, and close all minutes up to there.

        While one is looked at, those after it are open still, as they are where each is closed by itself.
        """
        self._merge()
        self._closed = min(max(end_us // MINUTE_US - 1, self._closed), _LAST_MINUTE)
        for minute in sorted(minute for minute in self._open if minute <= self._closed):
            self._open.remove(minute)
            stop = int(np.searchsorted(self._cells, (minute + 1) << KEY_BITS))
            count = MinuteCount(minute, self._cells[:stop] & ((1 << KEY_BITS) - 1), self._counts[:stop])
            self._cells, self._counts = self._cells[stop:].copy(), self._counts[stop:].copy()
            yield count

    def open_keys(self) -> IntArray:
        """Return the numbers that open minutes have counts of, ascending."""
        self._merge()
        return np.unique(self._cells & ((1 << KEY_BITS) - 1))

    def state(self) -> State:
        """Return cells, open minutes and counts."""
        self._merge()
        return {
            "cells": self._cells.copy(),
            "counts": self._counts.copy(),
            "open": np.array(sorted(self._open), np.int64),
            "marks": np.array([self._closed, self.late, self.ahead], np.int64),
        }

    @classmethod
    def restored(cls, most_minutes: int, state: State) -> "MinuteCells":
        """Return what was saved."""
        closed, late, ahead = state["marks"].tolist()
        opened = set(state["open"].tolist())
        return cls(most_minutes, late, ahead, closed, opened, state["cells"].copy(), state["counts"].copy())

    def _merge(self) -> None:
        if not self._added:
            return
        cells = np.concatenate([self._cells, *(cells for cells, _ in self._added)])
        counts = np.concatenate([self._counts, *(counts for _, counts in self._added)])
        self._added, self._rows = [], 0
        order = np.argsort(cells, kind="stable")
        cells, counts = cells[order], counts[order]
        begins = np.flatnonzero(np.diff(cells, prepend=-1))
        self._cells = cells[begins]
        self._counts = np.add.reduceat(counts, begins) if len(begins) else counts
