"""The values in lines: where they stand in the text, and a hash of each, for statistics of what is new."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from aiops.jit import bare
from aiops.signals.templates.miner import TemplateMiner
from aiops.signals.templates.token_rules import MIXED, VALUE, ByteArray, HashArray
from aiops.signals.templates.tokeniser import text_of, tokenise
from aiops.types import IntArray

_OFFSET: Final = np.uint64(0xCBF29CE484222325)
_PRIME: Final = np.uint64(0x100000001B3)


@dataclass(frozen=True, slots=True)
class LineValues:
    """Values of lines, in their order, arrays of one length.

    `line` = row; `ordinal` = how many values stand before it in its line; `starts`, `ends` = its bytes in the line; `hashes` =
    FNV-1a of these.
    """

    line: IntArray
    ordinal: IntArray
    starts: IntArray
    ends: IntArray
    hashes: HashArray


def values_of(lines: "pa.Array[Any]", miner: TemplateMiner) -> LineValues:
    """Return the values of lines (Arrow text or binary): what looks like one, and words where templates have values."""
    text = text_of(lines)
    batch = tokenise(text)
    unique, first, index = np.unique(batch.ids, return_index=True, return_inverse=True)
    opened = [miner.held.open_places(batch.of(row)) for row in first.tolist()]
    sizes = np.array([mask.size for mask in opened], np.int64)
    masks = np.concatenate([*opened, np.zeros(0, np.bool_)])
    row = np.repeat(np.arange(len(lines)), batch.count)
    within = np.arange(row.size) - np.repeat(np.cumsum(batch.count) - batch.count, batch.count)
    token = batch.first[row] + within
    kinds = batch.tokens.kinds[token]
    is_value = (kinds == VALUE) | (kinds == MIXED)
    if unique.size:
        is_value |= masks[(np.cumsum(sizes) - sizes)[index][row] + within]
    row, token = row[is_value], token[is_value]
    starts, ends = batch.tokens.starts[token], batch.tokens.ends[token]
    hashes = np.empty(row.size, np.uint64)
    _hash_spans(text.data, starts, ends, hashes)
    per_line = np.bincount(row, minlength=len(lines))
    ordinal = np.arange(row.size) - (np.cumsum(per_line) - per_line)[row]
    origin = text.offsets[row]
    return LineValues(row, ordinal, starts - origin, ends - origin, hashes)


@bare
def _hash_spans(data: ByteArray, starts: IntArray, ends: IntArray, hashes: HashArray) -> None:
    for row in range(starts.size):
        value = _OFFSET
        for place in range(starts[row], ends[row]):
            value = (value ^ np.uint64(data[place])) * _PRIME
        hashes[row] = value
