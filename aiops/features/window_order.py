"""The order of a window's values as kernels: beside a ring stand the places of the last tick's 1 h window, values ascending.

The next tick only takes out what has left the window since and puts in what is new. What costs here is a branch that the
processor guesses wrong, also that at the end of a loop, so the kernels count instead of searching, and move all places instead of
some; and indexes are unsigned or start from 0, for any other is first compared with 0: numba takes it for one from the end.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.features.series_state import UNIT, EngineArrays
from aiops.features.windows import place_at
from aiops.jit import bare, inlined


class Window(NamedTuple):
    """The points of a window that is put in order: where they begin in the ring, how many elements that has, the values."""

    begin: int
    room: int
    value: npt.NDArray[np.float32]  # (n,) oldest first


class PlaceSwap(NamedTuple):
    """What changes in an order: the element that is taken out, before which the new one is put in, and the place it holds."""

    out: int
    into: int
    place: int


@inlined
def order_window(arrays: EngineArrays, record: Any, low: int, value: npt.NDArray[np.float32], room: npt.NDArray[Any]) -> None:
    """Put the places of the points from number `low` on, whose values are given (n,), into the order of their values.

    `room` (n + 2,) to work in, of the same type as the places.
    """
    at, count = int(record.at) * UNIT, value.size
    window = Window(place_at(record, low), int(record.room), value)
    order = arrays.order[at : at + window.room]
    kept = 0
    if record.ordered_left > 0:
        passed = window.begin - int(record.ordered_low)
        kept = max(0, int(record.ordered_left) - (passed + window.room if passed < 0 else passed))
    if kept > count or 4 * (count - kept) > count:
        for number in range(count):
            order[number] = place_in(window, number)
        sort_places(arrays.values[at : at + window.room], order, count)
    elif count == kept + 1 and int(record.ordered) == count:
        swap_place(order[:count], window, room)
    else:
        if int(record.ordered) == kept + 1:
            drop_place(order[: kept + 1], window.begin - 1 if window.begin > 0 else window.room - 1)
        elif record.ordered > kept:
            drop_places(order[: record.ordered], window, kept)
        for number in range(kept, count):
            add_place(order, window, number)
    record.ordered = count
    record.ordered_left = count
    record.ordered_low = window.begin


@inlined
def place_in(window: Window, number: int) -> int:
    """Return the place of a point of the window."""
    place = window.begin + number
    return place - window.room if place >= window.room else place


@inlined
def drop_place(order: npt.NDArray[Any], place: int) -> None:
    """Take one of the places out of (n,)."""
    left = np.int32(0)
    for i in range(order.size):
        left = np.int32(left + (np.int32(i) if order[i] == place else np.int32(0)))
    for i in range(np.int64(left), order.size - 1):
        order[np.uint64(i)] = order[np.uint64(i + 1)]


@inlined
def swap_place(order: npt.NDArray[Any], window: Window, room: npt.NDArray[Any]) -> None:
    """Take the place before the window out of (n,), and put that of its newest point in, before the equal ones."""
    count = order.size
    gone = window.begin - 1 if window.begin > 0 else window.room - 1
    newest = window.value[np.uint64(count - 1)]
    less = left = np.int32(0)
    for i in range(count - 1):
        less = np.int32(less + np.int32(window.value[i] < newest))
    for i in range(count):
        left = np.int32(left + (np.int32(i) if order[i] == gone else np.int32(0)))
        room[np.uint64(i + 1)] = order[i]
    move_places(order, room, PlaceSwap(int(left), int(less), place_in(window, count - 1)))


@bare
def move_places(order: npt.NDArray[Any], room: npt.NDArray[Any], swap: PlaceSwap) -> None:
    """Fill order (n,) from its copy in `room` (n + 2,), one element later, with one place taken out and one put in."""
    kind = order.dtype.type
    left, less, place = kind(swap.out), kind(swap.into), kind(swap.place)
    for i in range(order.size):
        number = kind(i)
        before, own, after = room[i], room[i + 1], room[i + 2]
        lower = own if number < left else after
        upper = before if number <= left else own
        moved = lower if number < less else upper
        order[i] = place if number == less else moved


@inlined
def drop_places(order: npt.NDArray[Any], window: Window, kept: int) -> None:
    """Take the places out of (n,) that are not those of the first `kept` points of the window.

    Those of either lie side by side in the ring: where the ones go round its end, the others do not. Unsigned numbers before the
    first are greater than all.
    """
    first, count, inside = np.uint64(window.begin), np.uint64(kept), np.uint64(0)
    if window.begin + kept > window.room:
        first, count, inside = np.uint64(window.begin + kept - window.room), np.uint64(window.room - kept), np.uint64(1)
    end = np.uint64(0)
    for i in range(order.size):
        place = np.uint64(order[i])
        order[end] = place
        end += np.uint64(place - first < count) ^ inside


@inlined
def add_place(order: npt.NDArray[Any], window: Window, number: int) -> None:
    """Put the place of point `number` of the window between those before it, before the equal ones."""
    value = window.value[np.uint64(number)]
    less = np.int32(0)
    for i in range(number):
        less = np.int32(less + np.int32(window.value[i] < value))
    for i in range(number, np.int64(less), -1):
        order[np.uint64(i)] = order[np.uint64(i - 1)]
    order[np.uint64(less)] = place_in(window, number)


@bare
def sort_places(values: npt.NDArray[np.float32], order: npt.NDArray[Any], count: int) -> None:
    """Sort the first `count` places by their values (Shell sort, gaps of Ciura 2001)."""
    for gap in (301, 132, 57, 23, 10, 4, 1):
        for i in range(gap, count):
            place = order[i]
            value = values[place]
            j = i
            while j >= gap and values[order[j - gap]] > value:
                order[j] = order[j - gap]
                j -= gap
            order[j] = place
