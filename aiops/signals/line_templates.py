"""Log lines → texts of templates, of a stretch of lines that is all there.

Values that their writer names (`key=value`, `key: value`) are masked before the miner sees them, and a long line is told by its
head: a template that holds a value is new whenever a user asks for another one.
"""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.signals.requests import LOG_LINES
from aiops.signals.templates.miner import TemplateMiner
from aiops.types import IntArray

WORDS: Final = 15
"""Words of a line that are read."""
_MASKS: Final = (
    (r"[:=：]\s*[^\s,;)\]}]*", ":<*>"),
    (r"[0-9a-fA-F]{8}-[0-9a-f-]{27}|[0-9a-fA-F]{12,}|\d+", "#"),
    (rf"^((?:\S+\s+){{{WORDS - 1}}}\S+).*$", r"\1"),
)

_BY_TIME: Final = pc.SortOptions([("at", "ascending"), ("text", "ascending")])


def with_templates(lines: pa.Table) -> pa.Table:
    """Return lines (timestamp, trace_id, span_id, text) as `LOG_LINES`: those whose stream has templates."""
    at_us = np.asarray(lines["timestamp"].combine_chunks().cast(pa.int64())).astype(np.int64)
    templates = templates_of(lines["text"].combine_chunks(), at_us)
    columns: dict[str, Any] = {name: lines[name] for name in ("timestamp", "trace_id", "span_id")}
    return pa.table({**columns, "template": templates}, schema=LOG_LINES).filter(templates.is_valid())


def templates_of(lines: "pa.Array[Any]", times_us: IntArray) -> "pa.Array[Any]":
    """Return the template (n,) of each line as text; null where the miner refuses the stream. Deterministic, whatever the order.

    `times_us` (n,): event times. Lines are mined in order of time, then of text.
    """
    texts = masked(lines)
    order: Any = pc.call_function("sort_indices", [pa.table({"at": pa.array(times_us), "text": texts})], _BY_TIME)
    miner = TemplateMiner()
    ordered = texts.take(order)
    times_s = np.asarray(times_us[np.asarray(order)] // 1_000_000)
    mined = miner.observe(ordered, times_s)
    if miner.unfit is not None or not len(texts):
        return pa.nulls(len(texts), pa.string())
    miner.settle(int(times_s[-1]))
    known = miner.held.template_texts()
    templates, place = np.unique(miner.resolve(mined.shapes), return_inverse=True)
    names = pa.array([known.get(template) for template in templates.tolist()], pa.string())
    back = np.empty(len(place), np.int64)
    back[np.asarray(order)] = place
    places: Any = pa.array(back)
    return names.take(places)


def masked(texts: "pa.Array[Any]") -> "pa.Array[Any]":
    """Return lines with named values, identifiers and numbers masked, cut after `WORDS` words.

    >>> masked(pa.array(["GET /cart/17 took=23ms user: ann ok"])).to_pylist()
    ['GET /cart/# took:<*> user:<*> ok']
    """
    for pattern, by in _MASKS:
        texts = pc.replace_substring_regex(texts, pattern, by)
    return texts
