"""Spans and lines as they come → whole traces → what requests change, by service and minute.

    minutes = RequestMinutes(RequestMinutesConfig())
    minutes.observe_spans(rows)                     # columns of SPANS; batches change nothing
    minutes.observe_lines(lines)                    # TRACED_LINES: lines of spans with the shape of each
    series = minutes.closed(up_to_us, templates)    # MINUTE_SERIES of all minutes that end by then, each exactly once
    minutes = RequestMinutes.restore(config, minutes.state())

A trace counts in the minute in which its last span ended, once its root is there; one whose root never comes, a minute later.
Spans that come after their trace was counted are late. Where more spans or lines wait than there is room for, half of the traces
are left out, by their ids, and half of the rest again until there is room: shares of requests stay what they are.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aiops.errors import ContractError, OutdatedState, StateError
from aiops.signals.minute_cells import MINUTE_US
from aiops.signals.minute_series import MINUTE_SERIES
from aiops.signals.request_changes import CHANGE, RequestChanges, RequestChangesConfig
from aiops.signals.request_words import Templates, change_words
from aiops.signals.requests import EDGE, LOG_LINES, requests_of
from aiops.signals.series_texts import SeriesTexts
from aiops.signals.signal_sentences import SignalText
from aiops.signals.span_rows import SPAN_ROWS
from aiops.signals.text_arrays import joined, part_of
from aiops.signals.traced_lines import TRACED_LINES
from aiops.types import IntArray, State

VERSION: Final = 1
_SPANS: Final = pa.schema([SPAN_ROWS.field(name) for name in SPAN_ROWS.names if name != "trace_state"])
_LATE_MINUTES: Final = 3
"""Minutes for which ids of traces that were counted, and lines whose span did not come, are held."""
_WARM_UP_MINUTES: Final = 10
_ALL: Final = 1 << 16
"""Traces are chosen by the last 16 bits of their ids."""
_ROOMY: Final = 0.4
"""Share of the room below which, at its fullest in a minute, twice as many traces are taken again."""
_FIX: Final = "remove the state to begin anew"


@dataclass(frozen=True, slots=True)
class RequestMinutesConfig:
    """Spans and lines that may wait for their trace, and how requests are compared."""

    most_spans: int = 100_000
    most_lines: int = 200_000
    changes: RequestChangesConfig = field(default_factory=lambda: RequestChangesConfig(warm_up_minutes=_WARM_UP_MINUTES))

    def __post_init__(self) -> None:
        if min(self.most_spans, self.most_lines) < 1:
            raise ContractError(f"{self}: give at least 1 of each")


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """Where spans and lines went: `late` (of a trace that was counted), `sampled_out` (for there was no room), `unplaced` lines
    (their span did not come), `unusable` spans; and patterns of minutes for which there was no room.
    """

    spans: int = 0
    lines: int = 0
    late: int = 0
    sampled_out: int = 0
    unplaced: int = 0
    unusable: int = 0
    patterns_left_out: int = 0


class RequestMinutes:
    """Requests of one tenant. Memory: some 300 B a span and 120 B a line that waits, and `RequestChanges`. Not thread-safe."""

    def __init__(self, config: RequestMinutesConfig | None = None) -> None:
        self.config = config or RequestMinutesConfig()
        self._changes = RequestChanges(self.config.changes)
        self._spans = _SPANS.empty_table()
        self._lines = TRACED_LINES.empty_table()
        self._new_spans: list[pa.Table] = []
        self._new_lines: list[pa.Table] = []
        self._counted = pa.table({"trace_id": pa.array([], pa.string()), "minute": pa.array([], pa.int64())})
        self._share = _ALL
        self._closed_us = 0
        self._fullness = 0.0
        self._totals = dict.fromkeys(("spans", "lines", "late", "sampled_out", "unplaced", "unusable"), 0)
        self._texts = SeriesTexts()

    @property
    def counts(self) -> RequestCounts:
        """Return where spans and lines went so far."""
        return RequestCounts(**self._totals, patterns_left_out=self._changes.left_out)

    def observe_spans(self, rows: pa.Table) -> None:
        """Take in spans with the columns of `SPAN_ROWS`."""
        self._totals["spans"] += rows.num_rows
        spans = rows.select(_SPANS.names).cast(_SPANS)
        named: Any = pc.and_(
            pc.greater(pc.binary_length(spans["service"]), pa.scalar(0, pa.int32())), spans["trace_id"].is_valid()
        )
        usable = pc.fill_null(pc.and_(named, spans["span_id"].is_valid()), pa.scalar(False))
        kept = spans.filter(usable)
        self._totals["unusable"] += rows.num_rows - kept.num_rows
        self._new_spans.append(self._sampled(kept))
        if self._spans.num_rows + sum(table.num_rows for table in self._new_spans) > self.config.most_spans:
            self._make_room()

    def observe_lines(self, lines: pa.Table) -> None:
        """Take in lines (`TRACED_LINES`)."""
        self._totals["lines"] += lines.num_rows
        self._new_lines.append(self._sampled(lines.cast(TRACED_LINES)))
        if self._lines.num_rows + sum(table.num_rows for table in self._new_lines) > self.config.most_lines:
            self._make_room()

    def closed(self, up_to_us: int, templates: Templates | None) -> pa.Table:
        """Return `MINUTE_SERIES` of minutes that end by `up_to_us` (us since 1970 UTC) and were not closed before."""
        self._gather()
        filled = max(self._spans.num_rows / self.config.most_spans, self._lines.num_rows / self.config.most_lines)
        self._fullness = max(self._fullness, filled)
        series = [self._close(end_us, templates) for end_us in self._ends(up_to_us)]
        self._closed_us = max(self._closed_us, up_to_us)
        self._forget()
        if series and self._fullness < _ROOMY:
            self._share = min(_ALL, 2 * self._share)
        self._fullness = 0.0 if series else self._fullness
        return pa.concat_tables([MINUTE_SERIES.empty_table(), *series])

    def texts(self) -> pa.Table:
        """Return what changed, in words, as far as it is new since the last call, as `SIGNAL_TEXTS`."""
        return self._texts.taken()

    def state(self) -> State:
        """Return all that `restore` goes on from, as plain arrays."""
        self._gather()
        marks = np.array([VERSION, self._share, self._closed_us, *self._totals.values()], np.int64)
        tables = {"spans": _packed(self._spans), "lines": _packed(self._lines), "counted": _packed(self._counted)}
        tables["fullness"] = np.array([self._fullness])
        return {"marks": marks, **tables, **joined({"changes": self._changes.state()})}

    @classmethod
    def restore(cls, config: RequestMinutesConfig, state: State) -> "RequestMinutes":
        """Return minutes that go on as those that were saved would have.

        Raises:
            OutdatedState: the state is of another version.
            StateError: it is damaged.
        """
        minutes = cls(config)
        try:
            version, minutes._share, minutes._closed_us, *totals = state["marks"].tolist()
            if version != VERSION:
                raise OutdatedState(f"request minutes are of version {version}, this program reads {VERSION}; {_FIX}")
            minutes._fullness = float(state["fullness"][0])
            minutes._totals = dict(zip(minutes._totals, totals, strict=True))
            minutes._spans = _unpacked(state["spans"]).cast(_SPANS)
            minutes._lines = _unpacked(state["lines"]).cast(TRACED_LINES)
            minutes._counted = _unpacked(state["counted"])
            minutes._changes = RequestChanges.restore(config.changes, part_of(state, "changes"))
        except (KeyError, ValueError, pa.ArrowException) as error:
            raise StateError(f"state of request minutes is damaged: {error!r}; {_FIX}") from error
        return minutes

    def _sampled(self, rows: pa.Table) -> pa.Table:
        if self._share >= _ALL:
            return rows
        ends: Any = pc.utf8_slice_codeunits(rows["trace_id"], -4)
        kept = rows.filter(pc.less(ends, pa.scalar(f"{self._share:04x}")))
        self._totals["sampled_out"] += rows.num_rows - kept.num_rows
        return kept

    def _make_room(self) -> None:
        self._gather()
        while self._share > 1 and (
            self._spans.num_rows > self.config.most_spans or self._lines.num_rows > self.config.most_lines
        ):
            self._share //= 2
            self._spans, self._lines = self._sampled(self._spans), self._sampled(self._lines)

    def _gather(self) -> None:
        """Put what came since to what waits, without spans of traces that were counted."""
        spans, lines = pa.concat_tables([_SPANS.empty_table(), *self._new_spans]), self._new_lines
        known: Any = pc.is_in(spans["trace_id"], value_set=self._counted["trace_id"].combine_chunks())
        fresh = spans.filter(pc.invert(known))
        self._totals["late"] += spans.num_rows - fresh.num_rows
        self._spans = pa.concat_tables([self._spans, fresh]).combine_chunks()
        self._lines = pa.concat_tables([self._lines, *lines]).combine_chunks()
        self._new_spans, self._new_lines = [], []

    def _ends(self, up_to_us: int) -> list[int]:
        """Return the ends of the minutes in which traces that wait may be complete, ascending."""
        trace = _traces(self._spans)
        minutes = trace.last_us // MINUTE_US + np.where(trace.rooted, 1, 2)
        ends = np.maximum(np.unique(minutes * MINUTE_US), self._closed_us // MINUTE_US * MINUTE_US + MINUTE_US)
        return sorted({end for end in ends.tolist() if end <= up_to_us})

    def _close(self, end_us: int, templates: Templates | None) -> pa.Table:
        trace = _traces(self._spans)
        complete = (trace.last_us // MINUTE_US + np.where(trace.rooted, 1, 2)) * MINUTE_US <= end_us
        inside = complete[trace.code]
        spans = self._spans.filter(pa.array(inside))
        self._spans = self._spans.filter(pa.array(~inside))
        ids: Any = pc.unique(spans["trace_id"])
        of_traces: Any = pc.is_in(self._lines["trace_id"], value_set=ids)
        lines = self._lines.filter(of_traces)
        self._lines = self._lines.filter(pc.invert(of_traces))
        minute = end_us // MINUTE_US - 1
        now = pa.table({"trace_id": ids, "minute": pa.array(np.full(len(ids), minute, np.int64))})
        self._counted = pa.concat_tables([self._counted, now]).combine_chunks()
        if not spans.num_rows:
            return MINUTE_SERIES.empty_table()
        if templates is not None:
            self._changes.rename(_successors(self._changes.templates, templates))
        requests = requests_of(spans, _with_templates(lines, templates))
        self._totals["unplaced"] += requests.unplaced
        series = self._changes.observe(minute, requests)
        self._say(minute, series, templates)
        return series

    def _say(self, minute: int, series: pa.Table, templates: Templates | None) -> None:
        strange: Any = series.filter(pc.greater_equal(series["value"], pa.scalar(1.0)))["service"]
        for service in strange.to_pylist():
            change = self._changes.strongest(service)
            if change is not None:
                self._texts.say(minute, (service, CHANGE, ()), SignalText.cut(change_words(change, templates)))

    def _forget(self) -> None:
        """Let go of ids of traces that were counted, and of lines whose span did not come."""
        oldest = self._closed_us // MINUTE_US - _LATE_MINUTES
        self._counted = self._counted.filter(pc.greater_equal(self._counted["minute"], pa.scalar(oldest)))
        waited: Any = pc.less(self._lines["timestamp"].cast(pa.int64()), pa.scalar(oldest * MINUTE_US))
        waiting = pc.unique(self._spans["trace_id"])
        alone: Any = pc.and_(waited, pc.invert(pc.is_in(self._lines["trace_id"], value_set=waiting)))
        kept = self._lines.filter(pc.invert(alone))
        self._totals["unplaced"] += self._lines.num_rows - kept.num_rows
        self._lines = kept


def _successors(names: list[str], templates: Templates) -> dict[str, str]:
    """Return what templates lead to now, of those that lead to another one."""
    named = [name for name in names if name != EDGE]
    ids = np.array([int(name, 16) for name in named], np.uint64)
    targets = [f"{number:016x}" for number in templates.resolve(ids).tolist()]
    return {name: target for name, target in zip(named, targets, strict=True) if name != target}


def _with_templates(lines: pa.Table, templates: Templates | None) -> pa.Table:
    if templates is None or not lines.num_rows:
        return LOG_LINES.empty_table()
    ids, code = np.unique(np.asarray(lines["shape"].combine_chunks()), return_inverse=True)
    names = pa.array([f"{number:016x}" for number in templates.resolve(ids).tolist()], pa.string())
    places: Any = pa.array(code)
    columns: dict[str, Any] = {name: lines[name] for name in ("timestamp", "trace_id", "span_id")}
    return pa.table({**columns, "template": names.take(places)}, schema=LOG_LINES)


@dataclass(frozen=True, slots=True, eq=False)
class _Traces:
    """Traces (t,): end of the last span that came, whether the root is there; `code` (spans,) of each span."""

    code: IntArray
    last_us: IntArray
    rooted: "npt.NDArray[np.bool_]"


def _traces(spans: pa.Table) -> _Traces:
    coded: Any = spans["trace_id"].combine_chunks().dictionary_encode()
    code = np.asarray(coded.indices).astype(np.int64)
    ends = np.asarray(spans["timestamp"].combine_chunks().cast(pa.int64())) + np.asarray(spans["duration_us"].combine_chunks())
    last_us, rooted = np.zeros(len(coded.dictionary), np.int64), np.zeros(len(coded.dictionary), np.bool_)
    np.maximum.at(last_us, code, ends)
    rooted[code[np.asarray(spans["parent_id"].combine_chunks().is_null())]] = True
    return _Traces(code, last_us, rooted)


def _packed(table: pa.Table) -> "npt.NDArray[Any]":
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: npt.NDArray[Any] = np.frombuffer(sink.getvalue().to_pybytes(), np.uint8).copy()
    return data


def _unpacked(data: "npt.NDArray[Any]") -> pa.Table:
    with pa.ipc.open_stream(pa.py_buffer(data.astype(np.uint8).tobytes())) as reader:
        return reader.read_all()
