"""Tokens in normal form: neighbouring values are one value, so that lists, times and amounts of any length are one template."""

from typing import NamedTuple

import numpy as np

from aiops.jit import bare
from aiops.signals.templates.token_rules import (
    BAR_HASH,
    CALENDAR,
    CLOSING,
    COLON_HASH,
    COMMA_HASH,
    EQUALS_HASH,
    JOINERS,
    LESS_HASH,
    MIXED,
    MORE_HASH,
    OPEN,
    OPENING,
    SIGN,
    SQUARE_END_HASH,
    SQUARE_HASH,
    UNIT,
    VALUE,
    VALUE_HASH,
    WORD,
    ByteArray,
    HashArray,
)
from aiops.types import IntArray


class Tokens(NamedTuple):
    """Tokens one behind the other, arrays of one length: hash, kind, marks, and the half-open span of bytes in the text."""

    hashes: HashArray
    kinds: ByteArray
    marks: ByteArray
    starts: IntArray
    ends: IntArray


class Token(NamedTuple):
    """One token, as scalars."""

    hash: np.uint64
    kind: int
    marks: int
    start: int
    end: int


def room_for(count: int) -> Tokens:
    """Return arrays for `count` tokens."""
    return Tokens(
        np.empty(count, np.uint64),
        np.empty(count, np.uint8),
        np.empty(count, np.uint8),
        np.empty(count, np.int64),
        np.empty(count, np.int64),
    )


def part(tokens: Tokens, start: int, end: int) -> Tokens:
    """Return some of the tokens, as views."""
    return Tokens(
        tokens.hashes[start:end],
        tokens.kinds[start:end],
        tokens.marks[start:end],
        tokens.starts[start:end],
        tokens.ends[start:end],
    )


@bare
def _put(tokens: Tokens, at: int, token: Token) -> None:
    tokens.hashes[at] = token.hash
    tokens.kinds[at] = token.kind
    tokens.marks[at] = token.marks
    tokens.starts[at] = token.start
    tokens.ends[at] = token.end


@bare
def _joins(hash_: np.uint64) -> bool:
    joins = False
    for joiner in JOINERS:
        joins |= joiner == hash_
    return joins


@bare
def _push_value(tokens: Tokens, base: int, at: int, token: Token) -> int:
    """Append a value: it takes up days, comparison signs, and values before it."""
    start = token.start
    while at > base and tokens.marks[at - 1] & CALENDAR:
        at -= 1
        start = tokens.starts[at]
    if at > base and (tokens.hashes[at - 1] == LESS_HASH or tokens.hashes[at - 1] == MORE_HASH):
        at -= 1
        start = tokens.starts[at]
    marks = token.marks & OPEN
    if at > base and tokens.kinds[at - 1] == VALUE:
        at -= 1
    elif at - 1 > base and tokens.kinds[at - 2] == VALUE and _joins(tokens.hashes[at - 1]):
        at -= 2
    else:
        _put(tokens, at, Token(VALUE_HASH, VALUE, marks, start, token.end))
        return at + 1
    tokens.marks[at] |= marks
    tokens.ends[at] = token.end
    return at + 1


@bare
def _list_begin(tokens: Tokens, base: int, at: int) -> int:
    """Return where a list of words in square brackets begins whose last word is at `at - 1`; -1 = there is none.

    It has a comma, or stands behind a colon or `=`.
    """
    place = at - 1
    while place - 1 > base and tokens.kinds[place] != SIGN and tokens.hashes[place - 1] == COMMA_HASH:
        place -= 2
    begin = place - 1
    if begin < base or tokens.kinds[place] == SIGN or tokens.hashes[begin] != SQUARE_HASH:
        return -1
    announced = begin > base and tokens.hashes[begin - 1] in (COLON_HASH, EQUALS_HASH)
    return begin if announced or place < at - 1 else -1


@bare
def _push_closing(tokens: Tokens, base: int, at: int, token: Token) -> int:
    """Append punctuation: a bracket around nothing is left out, one around a value alone is that value."""
    if token.hash == SQUARE_END_HASH:
        begin = _list_begin(tokens, base, at)
        if begin >= 0:
            return _push_value(tokens, base, begin, Token(VALUE_HASH, VALUE, 0, tokens.starts[begin], token.end))
    opening = np.uint64(0)
    for place in range(CLOSING.size):
        if CLOSING[place] == token.hash:
            opening = OPENING[place]
    if opening and at > base:
        if tokens.hashes[at - 1] == opening:
            return at - 1
        if at - 1 > base and tokens.kinds[at - 1] == VALUE and tokens.hashes[at - 2] == opening:
            value = Token(VALUE_HASH, VALUE, tokens.marks[at - 1], tokens.starts[at - 2], token.end)
            at -= 2
            if at > base and tokens.kinds[at - 1] == VALUE:
                tokens.marks[at - 1] |= value.marks
                tokens.ends[at - 1] = token.end
                return at
            _put(tokens, at, value)
            return at + 1
    _put(tokens, at, token)
    return at + 1


@bare
def push(tokens: Tokens, base: int, at: int, token: Token) -> int:
    """Append a token to the run that begins at `base` and holds `at - base`; return where the run ends now (at most `at + 1`)."""
    if token.kind == VALUE:
        return _push_value(tokens, base, at, token)
    if token.kind == SIGN:
        return _push_closing(tokens, base, at, token)
    if token.kind == MIXED and at > base:
        if tokens.kinds[at - 1] == VALUE and tokens.ends[at - 1] == token.start:
            tokens.ends[at - 1] = token.end
            return at
        if tokens.hashes[at - 1] == token.hash:
            tokens.ends[at - 1] = token.end
            return at
        between = tokens.hashes[at - 1]
        if at - 1 > base and tokens.hashes[at - 2] == token.hash and between in (COMMA_HASH, BAR_HASH):
            tokens.ends[at - 2] = token.end
            return at - 1
    if token.kind == WORD and token.marks & UNIT and at > base and tokens.kinds[at - 1] == VALUE:
        tokens.ends[at - 1] = token.end
        return at
    _put(tokens, at, token)
    return at + 1


@bare
def normalise(tokens: Tokens, out: Tokens) -> int:
    """Write `tokens` in normal form to `out` (same room); return how many are left."""
    at = 0
    for place in range(tokens.hashes.size):
        token = Token(tokens.hashes[place], tokens.kinds[place], tokens.marks[place], tokens.starts[place], tokens.ends[place])
        at = push(out, 0, at, token)
    return at


@bare
def mixed(value: np.uint64) -> np.uint64:
    """Return `value` with all bits mixed. Source: Steele et al. 2014, SplitMix64."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@bare
def placed(token_hash: np.uint64, place: int) -> np.uint64:
    """Return what a token at a place adds to the id of its shape."""
    return mixed(token_hash + np.uint64(place + 1) * np.uint64(0x9E3779B97F4A7C15))


@bare
def shape_id(hashes: HashArray) -> np.uint64:
    """Return the id of a sequence of tokens: the sum of its placed tokens and its length, so that one token can be exchanged."""
    total = mixed(np.uint64(hashes.size) + np.uint64(0x51ED270B))
    for place in range(hashes.size):
        total += placed(hashes[place], place)
    return total
