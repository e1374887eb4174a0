"""Compiled loops of the validator. Inputs are C-contiguous; codes are dictionary indexes, -1 = null."""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from data_contracts.kernel_cache import kept
from data_contracts.series.hash_kernels import KeyStrings, id_of

Kernel = TypeVar("Kernel", bound=Callable[..., object])
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Uint8s = npt.NDArray[np.uint8]
Float64s = npt.NDArray[np.float64]

ACCEPTED: Final = 0
MISSING_VALUE: Final = 1
NON_FINITE: Final = 2
BAD_TIMESTAMP: Final = 3
FUTURE_TIMESTAMP: Final = 4
OUT_OF_RANGE: Final = 5
NAME: Final = 6
DUPLICATE: Final = 7
FOREIGN_TENANT: Final = 8
KIND: Final = 9
NOT_NORMALISED: Final = 10

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT: Final = np.uint64(31)


class Points(NamedTuple):
    """Columns of one batch, all of length n, except `low` … `bad_stream`, which are indexed by code.

    `stream` is a code of metric and labels.
    """

    value: Float64s
    missing: Uint8s
    time_us: Int64s
    unknown_time: Uint8s
    service: Int32s
    stream: Int32s
    low: Float64s
    high: Float64s
    bad_service: Uint8s
    bad_stream: Uint8s


def _compiled(function: Kernel) -> Kernel:
    return cast(Kernel, kept(numba.njit(nogil=True)(function)))


@_compiled
def _mixed(key: np.uint64) -> np.uint64:
    key = (key ^ (key >> _SHIFT)) * _GOLDEN
    key = (key ^ (key >> _SHIFT)) * _MIX
    return key ^ (key >> _SHIFT)


@_compiled
def judge(points: Points, floor_us: int, ceiling_us: int) -> Uint8s:
    """Return (n,) the first reason that applies to each row, 0 = none; duplicates are found by `mark_duplicates`. O(n)."""
    n = len(points.value)
    reason = np.zeros(n, np.uint8)
    for i in range(n):
        value = points.value[i]
        stream = points.stream[i]
        if points.missing[i]:
            reason[i] = MISSING_VALUE
        elif not np.isfinite(value):
            reason[i] = NON_FINITE
        elif points.unknown_time[i] or points.time_us[i] < floor_us:
            reason[i] = BAD_TIMESTAMP
        elif points.time_us[i] > ceiling_us:
            reason[i] = FUTURE_TIMESTAMP
        elif stream >= 0 and (value < points.low[stream] or value > points.high[stream]):
            reason[i] = OUT_OF_RANGE
        elif stream < 0 or points.service[i] < 0 or points.bad_stream[stream] or points.bad_service[points.service[i]]:
            reason[i] = NAME
    return reason


@_compiled
def identify(points: Points, reason: Uint8s, keys: KeyStrings, ids: Int64s) -> bool:
    """Write the series id of every accepted row; return whether those of every series ascend in time: none is a duplicate.

    Memory: 8 bytes x services x streams; callers take `identify_sparse` where that is much more than n.
    """
    streams = len(points.bad_stream)
    unseen = np.iinfo(np.int64).min
    newest = np.full(len(points.bad_service) * streams, unseen, np.int64)
    ascending = True
    for i in range(len(reason)):
        if reason[i] == ACCEPTED:
            series = np.int64(points.service[i]) * streams + points.stream[i]
            ascending &= points.time_us[i] > newest[series]
            newest[series] = points.time_us[i]
    for series in range(len(newest)):
        if newest[series] != unseen:
            newest[series] = id_of(keys, series // streams, series % streams)
    for i in range(len(reason)):
        if reason[i] == ACCEPTED:
            ids[i] = newest[np.int64(points.service[i]) * streams + points.stream[i]]
    return ascending


@_compiled
def identify_sparse(points: Points, reason: Uint8s, keys: KeyStrings, ids: Int64s) -> None:
    """Write the series id of every accepted row: as `identify`, with memory of n."""
    streams = len(points.bad_stream)
    rows = np.flatnonzero(reason == ACCEPTED)
    codes, firsts = distinct(points.service[rows] * np.int64(streams) + points.stream[rows])
    known = np.empty(len(firsts), np.int64)
    for number in range(len(firsts)):
        row = rows[firsts[number]]
        known[number] = id_of(keys, points.service[row], points.stream[row])
    ids[rows] = known[codes]


@_compiled
def mark_duplicates(points: Points, reason: Uint8s) -> None:
    """Set DUPLICATE in place on every accepted row whose (series, time) an earlier accepted row has. O(n) time and memory."""
    n = len(reason)
    size = 16
    while size < 2 * n:
        size *= 2
    mask = np.uint64(size - 1)
    owner = np.full(size, -1, np.int64)
    streams = len(points.bad_stream)
    for i in range(n):
        if reason[i] != ACCEPTED:
            continue
        series = np.int64(points.service[i]) * streams + points.stream[i]
        slot = _mixed(_mixed(np.uint64(series)) ^ np.uint64(points.time_us[i])) & mask
        while True:
            row = owner[slot]
            if row < 0:
                owner[slot] = i
                break
            same_series = points.service[row] == points.service[i] and points.stream[row] == points.stream[i]
            if same_series and points.time_us[row] == points.time_us[i]:
                reason[i] = DUPLICATE
                break
            slot = (slot + np.uint64(1)) & mask


@_compiled
def distinct(keys: Int64s) -> tuple[Int32s, Int64s]:
    """Return (n,) a dense code for each key in order of first sight, and (k,) the row where each code is first seen.

    Open addressing that doubles at half load: O(n) time, 4 bytes x 4k memory beside the result.
    """
    n = len(keys)
    codes = np.empty(n, np.int32)
    firsts = np.empty(n, np.int64)
    count = 0
    size = 1024
    table = np.full(size, -1, np.int32)
    for i in range(n):
        if 2 * count >= size:
            size *= 2
            table = np.full(size, -1, np.int32)
            for code in range(count):
                slot = _mixed(np.uint64(keys[firsts[code]])) & np.uint64(size - 1)
                while table[slot] >= 0:
                    slot = (slot + np.uint64(1)) & np.uint64(size - 1)
                table[slot] = code
        slot = _mixed(np.uint64(keys[i])) & np.uint64(size - 1)
        while table[slot] >= 0 and keys[firsts[table[slot]]] != keys[i]:
            slot = (slot + np.uint64(1)) & np.uint64(size - 1)
        if table[slot] < 0:
            table[slot] = count
            firsts[count] = i
            count += 1
        codes[i] = table[slot]
    return codes, firsts[:count].copy()


@_compiled
def unusual(data: Uint8s, offsets: Int64s) -> Uint8s:
    """Return (k,) 1 for each byte string that holds a control character, '|' or a byte that is not ASCII."""
    result = np.zeros(len(offsets) - 1, np.uint8)
    for i in range(len(result)):
        for byte in data[offsets[i] : offsets[i + 1]]:
            if byte < 0x20 or byte >= 0x7F or byte == 0x7C:
                result[i] = 1
                break
    return result
