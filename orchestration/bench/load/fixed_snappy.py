"""Snappy whose compressed bytes can be changed in place: chosen bytes always stand as literals and nothing is copied from them.

A sender's compression costs the bench nothing then, while the receiver uncompresses a real stream.
Source: snappy's format_description.txt.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]
_WINDOW: Final = 4
_FAR: Final = 65_535
_LONGEST_COPY: Final = 64
_LONGEST_LITERAL: Final = 256


@dataclass(frozen=True, slots=True)
class Packed:
    """A compressed body; `places` (n,): where each byte of the plain body stands in it, -1 = it is copied from another."""

    body: bytes
    places: Places


@dataclass(slots=True)
class _Writer:
    """The elements written so far."""

    plain: bytes
    out: bytearray
    places: Places
    written: int = field(default=0)

    def literal(self, end: int) -> None:
        """Write all up to `end` as literals."""
        while self.written < end:
            start, length = self.written, min(end - self.written, _LONGEST_LITERAL)
            self.out += bytes([(length - 1) << 2]) if length <= 60 else bytes([60 << 2, length - 1])
            self.places[start : start + length] = np.arange(len(self.out), len(self.out) + length)
            self.out += self.plain[start : start + length]
            self.written += length

    def copy(self, distance: int, length: int) -> None:
        """Write a copy of what stands `distance` bytes before."""
        self.written += length
        while length:
            part = min(length, _LONGEST_COPY)
            self.out += bytes([(part - 1) << 2 | 2]) + distance.to_bytes(2, "little")
            length -= part


def packed(plain: bytes, variable: npt.NDArray[np.bool_]) -> Packed:
    """Compress `plain`; bytes where `variable` (n,) stay literals. O(n) memory and time."""
    size = len(plain)
    writer = _Writer(plain, bytearray(_size_of(size)), np.full(size, -1, np.int64))
    fixed_until = _next_place(variable)
    free_from = _next_place(~variable)
    seen: dict[bytes, int] = {}
    at = 0
    while at + _WINDOW <= size:
        end = fixed_until[at]
        if end < at + _WINDOW:
            at = free_from[min(end, size - 1)] if end < size else size
            continue
        window = plain[at : at + _WINDOW]
        before = seen.get(window, -1)
        seen[window] = at
        if before < 0 or at - before > _FAR:
            at += 1
            continue
        length = _shared(plain, before, at, min(end - at, fixed_until[before] - before))
        writer.literal(at)
        writer.copy(at - before, length)
        at += length
    writer.literal(size)
    return Packed(bytes(writer.out), writer.places)


def _shared(plain: bytes, before: int, at: int, most: int) -> int:
    """Return how many bytes at both places are the same, at most `most`."""
    length = _WINDOW
    while length + 16 <= most and plain[before + length : before + length + 16] == plain[at + length : at + length + 16]:
        length += 16
    while length < most and plain[before + length] == plain[at + length]:
        length += 1
    return length


def _next_place(flags: npt.NDArray[np.bool_]) -> list[int]:
    """Return for each place the first one from it on that is flagged; n = none."""
    size = len(flags)
    marked = np.where(flags, np.arange(size), size)
    places: list[int] = np.minimum.accumulate(marked[::-1])[::-1].tolist()
    return places


def _size_of(size: int) -> bytes:
    out = bytearray()
    while size > 127:
        out.append(size & 127 | 128)
        size >>= 7
    return bytes([*out, size])
