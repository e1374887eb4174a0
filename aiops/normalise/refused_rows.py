"""Dead letters of raw values: what came, of which series by the book, and why it is no point. Python a refused row."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.features.series_points import SeriesPoints
from aiops.normalise import raw_series
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.metrics import spec_of
from data_contracts.series.key import labels_of
from data_contracts.series.series_name import SeriesName
from data_contracts.telemetry.rejects import Refusal, rejected_batch
from data_contracts.values.moments import moment_of_us

_FORMS: Final = {
    raw_series.TOTAL: {"kind": "counter", "temporality": "cumulative"},
    raw_series.DELTA: {"kind": "counter", "temporality": "delta"},
    raw_series.BUCKET: {"kind": "histogram", "temporality": "cumulative"},
    raw_series.BUCKET_SUM: {"kind": "histogram", "temporality": "cumulative"},
    raw_series.BUCKET_COUNT: {"kind": "histogram", "temporality": "cumulative"},
    raw_series.HISTOGRAM: {"kind": "histogram", "temporality": "cumulative"},
    raw_series.HISTOGRAM_DELTA: {"kind": "histogram", "temporality": "delta"},
}
_WORDS: Final = {
    raw_series.UNKNOWN: (
        "unknown_series",
        "series_id",
        "series {id} is not defined here: its definition was refused or lost; receivers define what still sends every 10 min",
    ),
    raw_series.NON_FINITE: (
        "non_finite",
        "value",
        "value {value} of {name} is not finite: leave it out where nothing was measured",
    ),
    raw_series.BAD_TIME: (
        "bad_timestamp",
        "timestamp",
        "timestamp {time} of {name} is before 2000: check the sender's clock and unit",
    ),
    raw_series.FUTURE: (
        "future_timestamp",
        "timestamp",
        "timestamp {time} of {name} is later than now and AIOPS_TELEMETRY__FUTURE_TOLERANCE_S: check the sender's clock",
    ),
    raw_series.OUT_OF_RANGE: (
        "out_of_range",
        "value",
        "value {value} of {name} cannot be, or its rate lies outside {low} to {high} ({unit}): check unit and type at the sender",
    ),
    raw_series.DUPLICATE: (
        "duplicate",
        "timestamp",
        "{name} has another value than {value} at {time} already, which is kept: do two senders write one series?",
    ),
    raw_series.TOO_LATE: (
        "too_late",
        "timestamp",
        "{name} has newer values than the one of {time}: totals and histograms are taken in their order",
    ),
    raw_series.MISFIT: (
        "kind",
        "value",
        "a value of {name} came as a whole histogram and its definition says it is none, or the other way round",
    ),
}


@dataclass(frozen=True, slots=True)
class RefusedRows:
    """Raw rows that are refused, (k,) each: what each was of (None = not defined), its role, and why."""

    name: Sequence[SeriesName | None]
    role: npt.NDArray[np.uint8]
    series_id: IntArray
    time_us: IntArray
    value: FloatArray
    status: npt.NDArray[np.int8]
    more: Sequence[dict[str, Any]] = ()
    """What a row says beside its value; none = nothing for any."""


def rejected_raw(rows: RefusedRows, now: datetime, source: str) -> pa.RecordBatch:
    """Return refused raw rows as `schemas.REJECTED`."""
    texts, refusals = [], []
    columns = (rows.role.tolist(), rows.series_id.tolist(), rows.time_us.tolist(), rows.value.tolist(), rows.status.tolist())
    more = rows.more or [{}] * len(rows.name)
    for name, role, series_id, time_us, value, status, extra in zip(rows.name, *columns, more, strict=True):
        time = _time_text(time_us)
        cells = {"timestamp": time, "series_id": series_id, **_named(name), "value": _number(value)}
        texts.append(json.dumps({**cells, **(_FORMS.get(role, {}) if name else {}), **extra}, ensure_ascii=False))
        reason, field, words = _WORDS[status]
        spec = spec_of(name.metric if name else "")
        shown = {"name": name.text if name else f"series {series_id}", "id": series_id, "value": value, "time": time}
        refusals.append(Refusal(reason, field, words.format(**shown, low=spec.low, high=spec.high, unit=spec.unit or "any unit")))
    return rejected_batch(texts, refusals, now, source)


def rejected_points_of(names: Sequence[SeriesName], points: SeriesPoints, now: datetime, source: str) -> pa.RecordBatch:
    """Return points that were made of histograms and are beyond the limits of their metric as `schemas.REJECTED`."""
    status = np.full(len(names), raw_series.OUT_OF_RANGE, np.int8)
    roles = np.zeros(len(names), np.uint8)
    return rejected_raw(RefusedRows(names, roles, points.series_id, points.time_us, points.value, status), now, source)


def rejected_definitions(rows: pa.RecordBatch, refusal: Refusal, now: datetime, source: str) -> pa.RecordBatch:
    """Return definitions that are refused as `schemas.REJECTED`."""
    cells = [{**row, "labels": dict(labels_of(row["labels"])), "bound": _number(row["bound"])} for row in rows.to_pylist()]
    texts = [json.dumps({key: cell for key, cell in row.items() if cell is not None}, ensure_ascii=False) for row in cells]
    return rejected_batch(texts, [refusal] * len(texts), now, source)


def _named(name: SeriesName | None) -> dict[str, Any]:
    if name is None:
        return {}
    labels = dict(labels_of(name.labels))
    return {"service": name.service, "metric": name.metric, **({"labels": labels} if labels else {})}


def _number(value: float | None) -> float | str | None:
    return value if value is None or np.isfinite(value) else str(value)


def _time_text(time_us: int) -> str | int:
    """Return a time as ISO 8601, or the number that came where it is no time of a calendar."""
    try:
        return moment_of_us(time_us).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError):
        return time_us
