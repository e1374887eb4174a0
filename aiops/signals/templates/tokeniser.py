"""Lines to tokens, in one pass over the bytes of a batch.

A line is cut at white space, brackets, quotes, `,`, `;`, `=` and `|`; what lies between is cut at colons and dot leaders, unless
the whole is an address or a time, and judged by the characters that it holds (`token_rules`). No regular expression, no rule for
one log format.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from aiops.jit import bare
from aiops.signals.templates.atoms import piece, whole_is_value
from aiops.signals.templates.normal_form import Token, Tokens, part, push, room_for, shape_id
from aiops.signals.templates.token_rules import (
    BYTE_CLASS,
    COLON,
    COLON_HASH,
    CUE,
    EQUALS_HASH,
    HARD,
    MIXED,
    SIGN,
    SPACE,
    TAIL,
    TEXT_KEYS,
    UNPRINTABLE,
    VALUE,
    VALUE_HASH,
    ByteArray,
    HashArray,
)
from aiops.types import IntArray

LONGEST_LINE: Final = 4096
"""Bytes of a line that are read; what comes behind is not part of its template."""
MOST_TOKENS: Final = 192
"""Tokens of a line that are kept."""
_QUOTE: Final = ord('"')
_DOT: Final = ord(".")
_LEADER_DOTS: Final = 3
_OFFSET: Final = np.uint64(0xCBF29CE484222325)
_PRIME: Final = np.uint64(0x100000001B3)


class Text(NamedTuple):
    """Lines one behind the other: bytes, and (n + 1,) offsets of their beginnings."""

    data: ByteArray
    offsets: IntArray


class Span(NamedTuple):
    """A half-open run of bytes."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Tokens of n lines: those of line i lie at `first[i]` to `first[i] + count[i]`; spans are places in `text.data`.

    `ids` = (n,) ids of the shapes; `unprintable` = control bytes in all lines, of `bytes_read`.
    """

    text: Text
    tokens: Tokens
    first: IntArray
    count: IntArray
    ids: HashArray
    unprintable: int

    @property
    def bytes_read(self) -> int:
        """Return how many bytes of lines there are."""
        return int(self.text.offsets[-1] - self.text.offsets[0])

    def line(self, row: int) -> bytes:
        """Return the bytes of a line."""
        return self.text.data[self.text.offsets[row] : self.text.offsets[row + 1]].tobytes()

    def of(self, row: int) -> Tokens:
        """Return the tokens of a line, views; spans count from the beginning of the batch."""
        return part(self.tokens, int(self.first[row]), int(self.first[row] + self.count[row]))


def text_of(lines: "pa.Array[Any]") -> Text:
    """Return the bytes of an Arrow array of text or binary without a copy of the bytes; an absent line is an empty one."""
    kind = np.int64 if pa.types.is_large_string(lines.type) or pa.types.is_large_binary(lines.type) else np.int32
    _, offsets, data = lines.buffers()
    if data is None or offsets is None or not len(lines):
        return Text(np.zeros(0, np.uint8), np.zeros(len(lines) + 1, np.int64))
    places = np.frombuffer(memoryview(offsets), kind)[lines.offset : lines.offset + len(lines) + 1].astype(np.int64)
    return Text(np.frombuffer(memoryview(data), np.uint8), places)


def tokenise(text: Text) -> TokenBatch:
    """Return the tokens of all lines. Memory: at most 26 bytes a byte of text; what no token needs is not touched."""
    lines = text.offsets.size - 1
    room = np.minimum(np.minimum(np.diff(text.offsets), LONGEST_LINE), MOST_TOKENS)
    tokens = room_for(int(room.sum()) + MOST_TOKENS)
    first = np.zeros(lines, np.int64)
    count = np.zeros(lines, np.int64)
    ids = np.zeros(lines, np.uint64)
    unprintable = _tokenise(text, tokens, first, count, ids)
    return TokenBatch(text, tokens, first, count, ids, unprintable)


@bare
def _tokenise(text: Text, tokens: Tokens, first: IntArray, count: IntArray, ids: HashArray) -> int:
    unprintable = 0
    base = 0
    for row in range(count.size):
        start = text.offsets[row]
        end = text.offsets[row + 1]
        for place in range(start, end):
            unprintable += BYTE_CLASS[text.data[place]] == UNPRINTABLE
        first[row] = base
        at = _line(text.data, start, min(end, start + LONGEST_LINE), tokens, base)
        count[row] = at - base
        ids[row] = shape_id(tokens.hashes[base:at])
        base = at
    return unprintable


@bare
def _line(data: ByteArray, start: int, end: int, tokens: Tokens, base: int) -> int:
    """Write the tokens of one line from `base` on; return where they end."""
    at = base
    place = start
    while place < end and at - base < MOST_TOKENS - 8:
        kind = BYTE_CLASS[data[place]]
        stop = place + 1
        if (data[place] == _QUOTE or kind not in (HARD, SPACE)) and _is_keyed(data, place, tokens, base, at):
            stop = _keyed_end(data, place, end)
            at = push(tokens, base, at, Token(VALUE_HASH, VALUE, 0, place, stop))
        elif kind == HARD:
            at = push(tokens, base, at, _sign(data, place, stop))
        elif kind != SPACE:
            while stop < end and BYTE_CLASS[data[stop]] != SPACE and BYTE_CLASS[data[stop]] != HARD:
                stop += 1
            at = _atom(data, Span(place, stop), tokens, base, at)
        place = stop
    return at


@bare
def _is_keyed(data: ByteArray, place: int, tokens: Tokens, base: int, at: int) -> bool:
    """Return whether what begins at `place` stands behind `key=`, and the key is none of the message's own."""
    if at - base < 2 or tokens.hashes[at - 1] != EQUALS_HASH or tokens.ends[at - 1] != place or tokens.kinds[at - 2] < MIXED:
        return False
    if tokens.kinds[at - 2] == SIGN or tokens.ends[at - 2] != place - 1:
        return False
    is_text = False
    for key in TEXT_KEYS:
        is_text |= key == tokens.hashes[at - 2]
    return not is_text


@bare
def _keyed_end(data: ByteArray, start: int, end: int) -> int:
    """Return the end of a value: that of double quotes, else white space, a hard delimiter or punctuation at the end."""
    stop = start + 1
    if data[start] == _QUOTE:
        while stop < end and data[stop] != _QUOTE:
            stop += 1
        return min(stop + 1, end)
    while stop < end and BYTE_CLASS[data[stop]] != SPACE and BYTE_CLASS[data[stop]] != HARD:
        stop += 1
    while stop - start > 1 and BYTE_CLASS[data[stop - 1]] in (TAIL, COLON):
        stop -= 1
    return stop


@bare
def _sign(data: ByteArray, start: int, end: int) -> Token:
    """Return the token of punctuation."""
    value = _OFFSET
    for place in range(start, end):
        value = (value ^ np.uint64(data[place])) * _PRIME
    return Token(value, SIGN, CUE if value in (EQUALS_HASH, COLON_HASH) else 0, start, end)


@bare
def _atom(data: ByteArray, atom: Span, tokens: Tokens, base: int, at: int) -> int:
    """Write the tokens of what lies between white space and hard delimiters."""
    stop = atom.end
    while stop - atom.start > 1 and BYTE_CLASS[data[stop - 1]] in (TAIL, COLON):
        stop -= 1
    if whole_is_value(data, atom.start, stop):
        at = push(tokens, base, at, Token(VALUE_HASH, VALUE, 0, atom.start, stop))
    else:
        at = _pieces(data, Span(atom.start, stop), tokens, base, at)
    for place in range(stop, atom.end):
        if at - base < MOST_TOKENS - 2:
            at = push(tokens, base, at, _sign(data, place, place + 1))
    return at


@bare
def _pieces(data: ByteArray, atom: Span, tokens: Tokens, base: int, at: int) -> int:
    """Write what colons and dot leaders (`depth....7`) part."""
    place = atom.start
    while place < atom.end and at - base < MOST_TOKENS - 2:
        stop = _parting(data, place, atom.end)
        if stop > place:
            at = push(tokens, base, at, _sign(data, place, stop))
        else:
            while stop < atom.end and _parting(data, stop, atom.end) == stop:
                stop += 1
            at = push(tokens, base, at, piece(data, place, stop))
        place = stop
    return at


@bare
def _parting(data: ByteArray, start: int, end: int) -> int:
    """Return where colons or three dots or more that begin at `start` end; `start` = there are none."""
    stop = start
    while stop < end and BYTE_CLASS[data[stop]] == COLON:
        stop += 1
    if stop > start:
        return stop
    while stop < end and data[stop] == _DOT:
        stop += 1
    return stop if stop - start >= _LEADER_DOTS else start
