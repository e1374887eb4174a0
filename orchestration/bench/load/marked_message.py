"""Protobuf messages with gaps that are filled in again and again: times, ids, and the digits of parameters in texts."""

import re
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from orchestration.bench.load.wire_templates import varint

Gap = Literal["time", "end", "trace", "span", "parent", "first_digit", "digit", "hex"]
WIDTHS: Final[dict[Gap, int]] = {
    "time": 8,
    "end": 8,
    "trace": 16,
    "span": 8,
    "parent": 8,
    "first_digit": 1,
    "digit": 1,
    "hex": 1,
}
_FIXED64, _BYTES = 1, 2
_SLOT: Final = re.compile(r"\{([dx])(\d+)\}")
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a gap begins, and the number of what is put there."""

    gap: Gap
    place: int
    number: int


@dataclass(frozen=True, slots=True)
class Gaps:
    """Gaps of one kind: `places` (n, width) in the message, `numbers` (n,) of what is put there."""

    places: Places
    numbers: Places


@dataclass(slots=True)
class MarkedMessage:
    """A growing message and its gaps."""

    body: bytearray = field(default_factory=bytearray)
    marks: list[Mark] = field(default_factory=list)

    def text(self, number: int, text: str) -> None:
        """Add a text; `{d6}` in it stands for a parameter of six decimal digits, `{x8}` for one of eight hexadecimal digits."""
        inner, after = MarkedMessage(), 0
        for slot in _SLOT.finditer(text):
            inner.body += text[after : slot.start()].encode()
            inner._digits(slot[1] == "d", int(slot[2]))
            after = slot.end()
        inner.body += text[after:].encode()
        self.message(number, inner)

    def number(self, number: int, value: int) -> None:
        """Add a number."""
        self.body += varint(number << 3) + varint(value)

    def message(self, number: int, inner: "MarkedMessage") -> None:
        """Add a message, or what is laid out like one."""
        self.body += varint(number << 3 | _BYTES) + varint(len(inner.body))
        start = len(self.body)
        self.body += inner.body
        self.marks += [Mark(mark.gap, start + mark.place, mark.number) for mark in inner.marks]

    def time(self, number: int, gap: Gap, row: int) -> None:
        """Add a time in ns, of a row."""
        self.body += varint(number << 3 | _FIXED64)
        self._gap(gap, row)

    def id(self, number: int, gap: Gap, row: int) -> None:
        """Add an id, the `row`-th of its kind."""
        self.body += varint(number << 3 | _BYTES) + varint(WIDTHS[gap])
        self._gap(gap, row)

    def attribute(self, number: int, name: str, text: str) -> None:
        """Add an attribute whose value is a text."""
        attribute, value = MarkedMessage(), MarkedMessage()
        value.text(1, text)
        attribute.text(1, name)
        attribute.message(2, value)
        self.message(number, attribute)

    def gaps(self, gap: Gap) -> Gaps:
        """Return the gaps of a kind."""
        chosen = [mark for mark in self.marks if mark.gap == gap]
        places = np.array([mark.place for mark in chosen], np.int64)[:, None] + np.arange(WIDTHS[gap])
        return Gaps(places, np.array([mark.number for mark in chosen], np.int64))

    def _digits(self, decimal: bool, count: int) -> None:
        for place in range(count):
            self._gap("hex" if not decimal else "digit" if place else "first_digit", 0)

    def _gap(self, gap: Gap, row: int) -> None:
        self.marks.append(Mark(gap, len(self.body), row))
        self.body += bytes(WIDTHS[gap])


class Digits:
    """The digits of a message's parameters, others each time."""

    def __init__(self, message: MarkedMessage) -> None:
        self._first, self._others, self._hex = (message.gaps(gap).places[:, 0] for gap in ("first_digit", "digit", "hex"))

    def fill(self, body: npt.NDArray[np.uint8], random: np.random.Generator) -> None:
        """Put digits into a body."""
        body[self._first] = random.integers(ord("1"), ord("9") + 1, len(self._first), np.uint8)
        body[self._others] = random.integers(ord("0"), ord("9") + 1, len(self._others), np.uint8)
        body[self._hex] = _HEX[random.integers(0, 16, len(self._hex))]


def filled_bytes(times_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Return times (n,) as they stand in a message (n, 8)."""
    return times_ns.astype("<i8").view(np.uint8).reshape(-1, 8)


_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)
