"""What requests of a day of Nezha do, minute by minute as a running system would know it: nothing later is read for a minute.

A trace belongs to the minute in which its last span ended, with its lines written by then; templates are those of the lines so
far. There are traces only around faults: an alarm of these between faults cannot occur here, so none is counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.signals.line_templates import masked
from aiops.signals.request_changes import Change, RequestChanges, RequestChangesConfig
from aiops.signals.requests import LOG_LINES, requests_of
from aiops.signals.templates.miner import TemplateMiner
from aiops.types import IntArray
from serving.ingest.pull.nezha_requests import RequestFiles, read_request_files

_MINUTE_US: Final = 60_000_000
_NO_TRACE: Final = -1


@dataclass(frozen=True, slots=True)
class MinuteChange:
    """What changed most in a minute, in words; `ratio` from 1 on is an alarm."""

    ratio: float
    reason: str


def request_changes(folder: Path, config: RequestChangesConfig) -> dict[int, MinuteChange]:
    """Return what changed most in each minute (since 1970) that has traces; nothing where the day has none.

    Raises:
        FileError: a file is damaged.
    """
    calm_folder = folder.parents[1] / "construct_data" / folder.name
    read = [part for part in (read_request_files([calm_folder]), read_request_files([folder])) if part is not None]
    if not read:
        return {}
    spans, lines = pa.concat_tables([part.spans for part in read]), pa.concat_tables([part.lines for part in read])
    day = _Day(RequestFiles(spans.combine_chunks(), lines.combine_chunks()))
    changes, most = RequestChanges(config), {}
    for minute in np.unique(day.span_minute).tolist():
        day.mine(minute)
        changes.rename(day.successors())
        series = changes.observe(minute, requests_of(day.spans(minute), day.lines(minute)))
        values = np.asarray(series["value"].combine_chunks())
        change = changes.strongest(series["service"].to_pylist()[int(np.argmax(values))] or "") if values.size else None
        if change is not None:
            most[minute] = MinuteChange(change.ratio, _in_words(change, day.miner.held.template_texts()))
    return most


@dataclass(slots=True)
class _Day:
    """Spans and lines of a day, the minute of each, and the templates of the lines up to a minute."""

    files: RequestFiles
    miner: TemplateMiner = field(default_factory=TemplateMiner)
    span_minute: IntArray = field(init=False)
    _line_minute: IntArray = field(init=False)
    _written: IntArray = field(init=False)
    _order: IntArray = field(init=False)
    _texts: Any = field(init=False)
    _shapes: Any = field(init=False)
    _mined: int = 0
    _named: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        spans, lines = self.files.spans, self.files.lines
        traces: Any = spans["trace_id"].combine_chunks().dictionary_encode()
        trace = np.asarray(traces.indices)
        ends = _microseconds(spans) + np.asarray(spans["duration_us"].combine_chunks()).astype(np.int64)
        last = np.zeros(len(traces.dictionary), np.int64)
        np.maximum.at(last, trace, ends)
        complete = np.append(last // _MINUTE_US, _NO_TRACE)
        self.span_minute = complete[trace]
        place: Any = pc.index_in(lines["trace_id"], value_set=traces.dictionary)
        of_line = np.asarray(place.combine_chunks().fill_null(len(last)))
        self._written = _microseconds(lines) // _MINUTE_US
        self._line_minute = np.where(self._written <= complete[of_line], complete[of_line], _NO_TRACE)
        self._texts = masked(lines["text"].combine_chunks())
        by_time = pa.table({"at": pa.array(_microseconds(lines)), "text": self._texts})
        keys = pc.SortOptions([("at", "ascending"), ("text", "ascending")])
        self._order = np.asarray(pc.call_function("sort_indices", [by_time], keys)).astype(np.int64)
        self._shapes = np.zeros(lines.num_rows, np.uint64)

    def mine(self, minute: int) -> None:
        """Mine the lines written by the end of a minute."""
        stop = int(np.searchsorted(self._written[self._order], minute, side="right"))
        rows = self._order[self._mined : stop]
        if rows.size:
            at: Any = pa.array(rows)
            times_s = _microseconds(self.files.lines)[rows] // 1_000_000
            self._shapes[rows] = self.miner.observe(self._texts.take(at), times_s).shapes
            self.miner.settle(int(times_s[-1]))
        self._mined = max(self._mined, stop)

    def spans(self, minute: int) -> pa.Table:
        """Return the spans of traces that were complete in a minute."""
        return self.files.spans.filter(pa.array(self.span_minute == minute))

    def lines(self, minute: int) -> pa.Table:
        """Return their lines (`LOG_LINES`), templates by id."""
        rows = self._line_minute == minute
        ids = self.miner.resolve(self._shapes[rows]).tolist()
        self._named.update(ids)
        part = self.files.lines.filter(pa.array(rows))
        columns: dict[str, Any] = {name: part[name] for name in ("timestamp", "trace_id", "span_id")}
        return pa.table({**columns, "template": pa.array([f"{number:016x}" for number in ids], pa.string())}, schema=LOG_LINES)

    def successors(self) -> dict[str, str]:
        """Return what ids of templates that were given out lead to now, of those that lead to another one."""
        ids = np.array(sorted(self._named), np.uint64)
        return {
            f"{old:016x}": f"{new:016x}"
            for old, new in zip(ids.tolist(), self.miner.resolve(ids).tolist(), strict=True)
            if old != new
        }


def _microseconds(table: pa.Table) -> IntArray:
    return np.asarray(table["timestamp"].combine_chunks().cast(pa.int64()))


def _in_words(change: Change, templates: Mapping[int, str]) -> str:
    pattern = change.pattern
    if pattern.kind == "order":
        first, second = (_line(text, templates) for text in (pattern.first, pattern.second))
        what = f"log lines '{first}', then '{second}'"
    else:
        what = f"calls {pattern.first}" if pattern.kind == "call" else "requests that fail"
    shares = f"{change.share_now:.0%} of requests, {change.share_then:.0%} before".replace("%", " %")
    return f"{pattern.service} {pattern.operation}: {what}: {shares}; {change.ratio:.3g} times what chance gives"


def _line(text: str, templates: Mapping[int, str]) -> str:
    try:
        return templates.get(int(text, 16), text)[:80]
    except ValueError:
        return text
