"""Rows of one identity: put in order, the one that counts of each, and which of new rows say something new.

All of it in numpy over ranks: (n,) int64 a column that order as the cells do, -0.0 before 0.0 and null before everything.
Already ordered rows cost one pass; others a sort, O(n log n).
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aiops.types import IntArray
from serving.lake.lake_tables import LakeTable

Mask = npt.NDArray[np.bool_]
_SIGN: Final = np.int64(0x7FFF_FFFF_FFFF_FFFF)
_NULL: Final = np.iinfo(np.int64).min


def each_once(spec: LakeTable, rows: pa.Table) -> pa.Table:
    """Return the rows in order of time and identity, of each identity the one that counts; as they are where it has none.

    `rows` holds the columns `spec.compared`.
    """
    if not spec.identity or rows.num_rows < 2:
        return rows
    named = _named(spec, rows)
    if spec.movable:
        return _in_order(spec, _taken(rows, _counting(spec, rows, named)))
    if _ascending(named):
        return rows
    order = np.lexsort(named[::-1])
    if not _same_as_before([column[order] for column in named]).any():
        return _taken(rows, order)
    return _taken(rows, _counting(spec, rows, named))


def new_rows(spec: LakeTable, rows: pa.Table, stored: pa.Table) -> Mask:
    """Return (n,) which of `rows` (each identity once) `stored` lacks, or holds with a word known earlier."""
    if not stored.num_rows:
        return np.ones(rows.num_rows, np.bool_)
    columns = list(spec.compared)
    both = pa.concat_tables([stored.select(columns), rows.select(columns)])
    named = _named(spec, both)
    is_given = np.arange(both.num_rows) >= stored.num_rows
    # Equal words: the stored row sorts last and keeps its place.
    order = np.lexsort((~is_given, *_latest(spec, both)[::-1], *named[::-1]))
    winners = order[_last_of_each([column[order] for column in named])]
    new: Mask = np.zeros(both.num_rows, np.bool_)
    new[winners] = True
    return new[stored.num_rows :]


def _taken(rows: pa.Table, numbers: IntArray) -> pa.Table:
    return rows.take(pa.array(numbers, pa.int64()))


def _in_order(spec: LakeTable, rows: pa.Table) -> pa.Table:
    columns = [rank(rows[name]) for name in dict.fromkeys((spec.time, *spec.identity))]
    return _taken(rows, np.lexsort(columns[::-1]))


def _named(spec: LakeTable, rows: pa.Table) -> list[IntArray]:
    """Return the ranks that name a row, the one that sorts first first."""
    names = spec.identity if spec.movable else (spec.time, *spec.identity)
    return [rank(rows[name]) for name in names]


def _latest(spec: LakeTable, rows: pa.Table) -> list[IntArray]:
    ranks = [rank(rows[name]) for name in spec.latest]
    return [~ranked for ranked in ranks] if spec.first_word else ranks


def _counting(spec: LakeTable, rows: pa.Table, named: list[IntArray]) -> IntArray:
    """Return the numbers of the rows that count, in order of their names; of equal ones the last."""
    order: IntArray = np.lexsort((*_latest(spec, rows)[::-1], *named[::-1]))
    counting: IntArray = order[_last_of_each([column[order] for column in named])]
    return counting


def _last_of_each(named: list[IntArray]) -> Mask:
    return np.append(~_same_as_before(named), True)


def _same_as_before(named: list[IntArray]) -> Mask:
    """Return (n - 1,) whether a row has the name of the one before it."""
    same: Mask = np.ones(len(named[0]) - 1, np.bool_)
    for column in named:
        same &= column[1:] == column[:-1]
    return same


def _ascending(named: list[IntArray]) -> bool:
    """Return whether every row's name is greater than that of the row before."""
    greater: Mask = np.zeros(len(named[0]) - 1, np.bool_)
    for column in reversed(named):
        greater = (column[1:] > column[:-1]) | ((column[1:] == column[:-1]) & greater)
    return bool(greater.all())


def rank(column: Any) -> IntArray:
    """Return (n,) int64 that order as the cells do; null is least.

    Raises:
        TypeError: cells that have no order here.
    """
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_dictionary(kind):
        return _text_rank(column)
    if pa.types.is_floating(kind):
        bits = np.asarray(column.cast(pa.float64()).fill_null(float("nan")).to_numpy()).view(np.int64)
        ordered: IntArray = np.where(bits < 0, bits ^ _SIGN, bits)
        return np.where(_nulls(column), _NULL, ordered) if column.null_count else ordered
    if pa.types.is_timestamp(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        whole = column.cast(pa.int64())
        return np.asarray(whole.fill_null(_NULL).to_numpy() if whole.null_count else whole.to_numpy(), np.int64)
    raise TypeError(f"cells of type {kind} have no order")


def _nulls(column: Any) -> Mask:
    return np.asarray(pc.is_null(column).to_numpy(), np.bool_)


def _text_rank(column: Any) -> IntArray:
    coded: Any = column.unify_dictionaries() if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    whole: Any = coded.combine_chunks()
    whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    if not len(whole.dictionary):
        return np.full(len(whole), _NULL, np.int64)
    places = np.empty(len(whole.dictionary), np.int64)
    places[np.asarray(pc.array_sort_indices(whole.dictionary))] = np.arange(len(places))
    codes = np.asarray(whole.indices.fill_null(0).to_numpy(zero_copy_only=False), np.int64)
    ranked: IntArray = places[codes]
    return np.where(_nulls(column), _NULL, ranked) if column.null_count else ranked
