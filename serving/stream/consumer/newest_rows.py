"""Feature rows that wait for a writer: of every entity the newest, in pieces that one write takes."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from aiops.features.feature_rows import DeferredRows

_COMPACT_ROWS: Final = 50_000
PIECE_ROWS: Final = 4096
"""Rows of one write: what gives way waits for no more."""


class NewestRows:
    """Rows of one feature table, at most the newest of every entity, a tick, and 50,000 not compacted yet. Shared by threads.

    Nothing is built before it is written: a million rows take as long to build as to write.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: list[DeferredRows] = []
        self._compact_at = _COMPACT_ROWS

    @property
    def num_rows(self) -> int:
        """Return the rows held, those included that are not compacted yet."""
        with self._lock:
            return sum(batch.num_rows for batch in self._batches)

    def offer(self, batches: "Sequence[DeferredRows]") -> None:
        """Add rows, newest last."""
        with self._lock:
            for batch in batches:
                # Most often a tick has a row of every series: then nothing is left of the one before.
                self._batches = [held for held in self._batches if not batch.covers(held)]
                self._batches.append(batch)
            if len(self._batches) > 1 and sum(batch.num_rows for batch in self._batches) > self._compact_at:
                self._batches = newest(self._batches)
                self._compact_at = sum(batch.num_rows for batch in self._batches) + _COMPACT_ROWS

    def take(self) -> "list[DeferredRows]":
        """Return the newest row of every entity in pieces of `PIECE_ROWS` at most, and forget them."""
        with self._lock:
            batches, self._batches = self._batches, []
        return [piece for batch in newest(batches) for piece in _pieces(batch)]

    def put_back(self, pieces: "Sequence[DeferredRows]") -> None:
        """Return pieces that could not be written; newer rows go before them."""
        with self._lock:
            self._batches = [*newest(pieces), *self._batches]

    def drop(self) -> int:
        """Forget everything; return the rows that are forgotten."""
        with self._lock:
            batches, self._batches = self._batches, []
        return sum(batch.num_rows for batch in newest(batches))


def newest(batches: "Sequence[DeferredRows]") -> "list[DeferredRows]":
    """Return the last row of every entity, one batch for each source of names. O(rows)."""
    by_source: dict[int, list[DeferredRows]] = {}
    for batch in batches:
        by_source.setdefault(id(batch.source), []).append(batch)
    return [parts[0].joined(parts).newest() for parts in by_source.values()]


def _pieces(batch: "DeferredRows") -> "list[DeferredRows]":
    begins = range(0, batch.num_rows, PIECE_ROWS)
    return [batch.chosen(np.arange(begin, min(begin + PIECE_ROWS, batch.num_rows))) for begin in begins]
