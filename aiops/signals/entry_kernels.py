"""Where spans lie by key, and which span each service's part of a trace begins with; compiled."""

import numpy as np

from aiops.jit import kernel
from aiops.types import IntArray

_FREE = -1


def slots_of(keys: IntArray, wanted: IntArray) -> IntArray:
    """Return of each wanted key (m,) where it lies first among the keys, -1 = nowhere. 0 is no key. O(n + m)."""
    table = np.full(1 << max(1, 2 * len(keys) - 1).bit_length(), _FREE, np.int64)
    out = np.empty(len(wanted), np.int64)
    _looked_up(keys, wanted, table, out)
    return out


def entries_of(above: IntArray, service: IntArray) -> IntArray:
    """Return of each span (n,) the topmost one of its service that it reaches through spans of its service alone. O(n).

    `above`: where its parent lies, -1 = nowhere. A circle of parents ends where it was entered.
    """
    out = np.full(len(above), _FREE, np.int64)
    _climbed(above, service, out, np.empty(len(above), np.int64))
    return out


@kernel
def _looked_up(keys: IntArray, wanted: IntArray, table: IntArray, out: IntArray) -> None:
    mask = table.size - 1
    for slot in range(keys.size):
        at = (keys[slot] >> 1) & mask
        while table[at] != _FREE and keys[table[at]] != keys[slot]:
            at = (at + 1) & mask
        if table[at] == _FREE:
            table[at] = slot
    for row in range(wanted.size):
        at = (wanted[row] >> 1) & mask
        while table[at] != _FREE and keys[table[at]] != wanted[row]:
            at = (at + 1) & mask
        out[row] = table[at] if wanted[row] != 0 else _FREE


@kernel
def _climbed(above: IntArray, service: IntArray, out: IntArray, path: IntArray) -> None:
    for start in range(above.size):
        length, slot = 0, start
        while out[slot] == _FREE:
            path[length] = slot
            length += 1
            out[slot] = slot
            parent = above[slot]
            if parent == _FREE or service[parent] != service[slot]:
                break
            slot = parent
        top = out[slot]
        for step in range(length):
            out[path[step]] = top
