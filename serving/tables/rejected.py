"""The dead-letter store: rejected rows kept in the lake, listed for people, re-driven after a fix.

A row that passes on a later try is handed to a sink and marked by its id, so that it is never handed out twice. Rows of reason
"duplicate" stay: the point they repeat was accepted. Rows of reason "undecodable" stay: the bytes hold no rows. Points of a
series that nobody defined ("unknown_series") and refused logs and spans stay: what they were made for is over.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.errors import ConfigurationError
from data_contracts.schemas.telemetry_schemas import REDRIVEN, REJECT_REASONS
from data_contracts.telemetry.rejects import rows_from_json
from data_contracts.telemetry.validate import validate
from serving.lake.port import Added, Lake

Sink = Callable[[pa.RecordBatch, str], None]
"""Takes accepted points (`schemas.SERIES`) and a key that is the same when the same rows are handed over again after a crash."""

FINAL_REASONS: Final = frozenset({"duplicate", "undecodable", "unknown_series", "bad_id"})
"""Reasons that no later try can change."""
SIGNALS: Final = "^(otlp|lines)/"
"""Pattern of the sources of refused logs and spans: they are no telemetry."""

_CHUNK_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class RejectedFilter:
    """Which rejected rows: every condition that is given must hold; `ids` empty = any. Re-driven rows only with `redriven`."""

    reason: str | None = None
    source: str | None = None
    since: datetime | None = None
    ids: tuple[str, ...] = ()
    redriven: bool = False


@dataclass(frozen=True, slots=True)
class Redriven:
    """Outcome of a re-drive: `tried` = `redriven` + the sum of `still_rejected`, which counts rows by their reason now."""

    tried: int
    redriven: int
    still_rejected: Mapping[str, int]


class RejectedStore:
    """Rejected rows in the tables "rejected" and "redriven" of a lake."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def add(self, rejected: pa.RecordBatch | pa.Table) -> Added:
        """Store rejected rows (`schemas.REJECTED`); those that were stored at the same time already count once.

        Raises:
            ContractError: the rows do not have the schema.
        """
        return self._lake.add("rejected", rejected)

    def list(self, chosen: RejectedFilter, limit: int | None = None) -> pa.Table:
        """Return the chosen rows (`schemas.REJECTED`), newest first, at most `limit`.

        Raises:
            ConfigurationError: the reason is unknown, `since` has no time zone or `limit` is below 1.
        """
        if limit is not None and limit < 1:
            raise ConfigurationError(f"limit is {limit}; at least 1 row can be listed: leave it out to list all")
        rows = self._chosen(chosen)
        newest = rows.take(pc.sort_indices(rows, sort_keys=[("rejected_at", "descending"), ("reject_id", "descending")]))
        return newest if limit is None else newest.slice(0, limit)

    def redrive(self, chosen: RejectedFilter, sink: Sink, now: datetime, future_tolerance_s: int = 300) -> Redriven:
        """Validate the chosen rows again at `now`; give those that pass to `sink`, then mark them.

        Each row is handed over once, however often this is called. If the process dies between sink and mark, the next call hands
        those rows over again, under the same key as long as the same rows pass: a sink that is idempotent by key doubles nothing.

        Raises:
            ConfigurationError: the reason is unknown or a time has no time zone.
        """
        rows = self._chosen(chosen)
        is_signal = pc.match_substring_regex(rows.column("source"), SIGNALS)
        final: Any = pc.or_(pc.is_in(rows.column("reason"), pa.array(sorted(FINAL_REASONS))), is_signal)
        counts = Counter(_texts(rows.filter(final), "reason"))
        redriven = 0
        for part in _chunks(rows.filter(pc.invert(final))):
            again = validate(rows_from_json(_texts(part, "row")), now, "", future_tolerance_s, self._lake.tenant)
            counts.update(_texts(again.rejected, "reason"))
            passed = part.take(pa.array(again.accepted_rows, pa.int64()))
            if passed.num_rows:
                key = _key(_texts(passed, "reject_id"))
                sink(again.accepted, key)
                self._lake.write("redriven", _marks(passed, now), key)
                redriven += passed.num_rows
        return Redriven(rows.num_rows, redriven, dict(sorted(counts.items())))

    def _chosen(self, chosen: RejectedFilter) -> pa.Table:
        if chosen.reason is not None and chosen.reason not in REJECT_REASONS:
            raise ConfigurationError(f"reason {chosen.reason!r} is unknown; use one of {', '.join(REJECT_REASONS)}")
        conditions = {"reason": [chosen.reason], "source": [chosen.source], "reject_id": chosen.ids}
        given = {column: [cell for cell in cells if cell is not None] for column, cells in conditions.items()}
        rows = _unique(self._lake.read("rejected", chosen.since, where={name: cells for name, cells in given.items() if cells}))
        if not chosen.redriven:
            marked = self._lake.read("redriven", columns=["reject_id"]).column("reject_id").combine_chunks()
            rows = rows.filter(pc.invert(pc.is_in(rows.column("reject_id"), marked)))
        return rows


def _texts(rows: pa.Table | pa.RecordBatch, column: str) -> list[str]:
    return cast("list[str]", rows.column(column).to_pylist())


def _unique(rows: pa.Table) -> pa.Table:
    """Return the first row of each id, ids ascending: the order does not depend on how the rows came to lie in files.

    A row that is read again with another neighbourhood is rejected at another time, but it is the same row.
    """
    _, first = np.unique(np.array(_texts(rows, "reject_id"), dtype=np.str_), return_index=True)
    return rows.take(pa.array(first, pa.int64()))


def _chunks(rows: pa.Table) -> Iterator[pa.Table]:
    """Yield the rows, more than `_CHUNK_ROWS` by the first digit of their ids, so that marked rows do not move the others."""
    if rows.num_rows <= _CHUNK_ROWS:
        yield from [rows] if rows.num_rows else []
        return
    digits = pc.utf8_slice_codeunits(rows.column("reject_id"), 0, 1)
    for digit in "0123456789abcdef":
        part = rows.filter(pc.equal(digits, pa.scalar(digit)))
        if part.num_rows:
            yield part


def _key(ids: Sequence[str]) -> str:
    return "redrive-" + hashlib.blake2b("\n".join(ids).encode(), digest_size=16).hexdigest()


def _marks(rows: pa.Table, now: datetime) -> pa.Table:
    moments = pa.repeat(pa.scalar(now, REDRIVEN.field("redriven_at").type), rows.num_rows)
    columns = [rows.column("rejected_at").combine_chunks(), moments, rows.column("reject_id").combine_chunks()]
    return pa.Table.from_arrays(columns, schema=REDRIVEN)
