"""The validator of `telemetry` v1: raw rows in, accepted points and rejected rows out; data never raises.

Each rejected row carries the first reason that applies, in this order: missing_value (null, not a number), non_finite,
bad_timestamp (null, not a time, before 2000-01-01), future_timestamp (later than now + tolerance), out_of_range (of the metric's
contract, for a metric whose name is not refused), name (see `names` and `fold`), duplicate (an earlier accepted row of the batch
has the same series and time).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa

from data_contracts import kernels
from data_contracts.coerce import AnyArray, Column, SchemaError, frozen, read_numbers, read_times, whole
from data_contracts.fold import fold_labels, fold_tenants, read_labels
from data_contracts.kernels import Int32s, Int64s, Points, Uint8s
from data_contracts.metrics import spec_of
from data_contracts.moments import microseconds_of
from data_contracts.names import Names, ranges, read_names
from data_contracts.rejects import Refusal, rejected_batch, rows_as_json
from data_contracts.schemas import REJECTED, SERIES, TELEMETRY

__all__ = ["SchemaError", "Validated", "validate"]

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_REASONS: Final = {
    kernels.MISSING_VALUE: "missing_value",
    kernels.NON_FINITE: "non_finite",
    kernels.BAD_TIMESTAMP: "bad_timestamp",
    kernels.FUTURE_TIMESTAMP: "future_timestamp",
    kernels.OUT_OF_RANGE: "out_of_range",
    kernels.NAME: "name",
    kernels.DUPLICATE: "duplicate",
}
_DENSE_SERIES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Validated:
    """Outcome of one batch: `accepted` + `rejected` rows = rows in, always.

    `accepted` has schema `schemas.SERIES`, `rejected` `schemas.REJECTED`; both keep arrival order.
    `accepted_rows` are the row numbers of the input that were accepted, ascending.
    """

    accepted: pa.RecordBatch
    accepted_rows: Int64s
    rejected: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class _Batch:
    columns: dict[str, AnyArray]
    points: Points
    services: Names
    metrics: Names
    latest: datetime


def validate(table: pa.Table | pa.RecordBatch, now: datetime, source: str = "", future_tolerance_s: int = 300) -> Validated:
    """Split raw telemetry into accepted points and rejected rows with a reason each.

    Columns other than the contract's are ignored. O(rows) time; memory of a few arrays of the batch's length.

    Raises:
        SchemaError: a required column is absent, comes twice, or has a type that cannot hold its contract.
        ValueError: `now` has no time zone.
    """
    if now.tzinfo is None:
        raise ValueError(f"now {now.isoformat()} has no time zone; times are aware UTC: pass datetime.now(UTC)")
    batch = _read(table, now + timedelta(seconds=future_tolerance_s))
    points = batch.points
    reason = kernels.judge(points, microseconds_of(EARLIEST), microseconds_of(batch.latest))
    dense = len(points.bad_service) * len(points.bad_metric) <= max(_DENSE_SERIES, 4 * len(reason))
    if not (dense and kernels.strictly_increasing(points, reason)):
        kernels.mark_duplicates(points, reason)
    rows = np.flatnonzero(reason == kernels.ACCEPTED)
    accepted = _accepted(batch, rows)
    if len(rows) == len(reason):
        return Validated(accepted, rows, pa.RecordBatch.from_pylist([], schema=REJECTED))
    return Validated(accepted, rows, _rejected(batch, reason, now, source))


def _read(table: pa.Table | pa.RecordBatch, latest: datetime) -> _Batch:
    columns = {field.name: whole(_column(table, field.name)) for field in TELEMETRY if _has(table, field)}
    times = read_times(columns["timestamp"], "timestamp")
    numbers = read_numbers(columns["value"], "value")
    services, metrics = read_names(columns["service"], "service"), read_names(columns["metric"], "metric")
    if "tenant" in columns:
        services = fold_tenants(services, read_names(columns["tenant"], "tenant"))
    labels = read_labels(columns["labels"]) if "labels" in columns else None
    if labels is not None:
        metrics = fold_labels(metrics, labels)
    low, high = ranges(metrics)
    points = Points(
        value=frozen(numbers.value),
        missing=frozen(numbers.missing),
        time_us=frozen(times.us),
        unknown_time=frozen(times.unknown),
        service=frozen(services.codes),
        metric=frozen(metrics.codes),
        low=frozen(low),
        high=frozen(high),
        bad_service=frozen(services.bad()),
        bad_metric=frozen(metrics.bad()),
    )
    return _Batch(columns, points, services, metrics, latest)


def _has(table: pa.Table | pa.RecordBatch, field: "pa.Field[Any]") -> bool:
    found = len(table.schema.get_all_field_indices(field.name))
    if found == 0 and not field.nullable:
        present = ", ".join(table.schema.names) or "none"
        raise SchemaError(f"column {field.name!r} is absent (columns: {present}); telemetry v1 requires it: add or map it")
    if found > 1:
        raise SchemaError(f"column {field.name!r} comes {found} times; telemetry v1 has it once: drop or rename the others")
    return found == 1


def _column(table: pa.Table | pa.RecordBatch, name: str) -> Column:
    column: Column = table.column(name)
    return column


def _accepted(batch: _Batch, rows: Int64s) -> pa.RecordBatch:
    points = batch.points
    every = len(rows) == len(points.value)
    time_us, value = (points.time_us, points.value) if every else (points.time_us[rows], points.value[rows])
    columns: list[AnyArray] = [
        pa.array(time_us, pa.int64()).view(SERIES.field("timestamp").type),
        _encoded(batch.services, points.service if every else points.service[rows]),
        _encoded(batch.metrics, points.metric if every else points.metric[rows]),
        pa.array(value, pa.float64()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SERIES)


def _encoded(names: Names, codes: Int32s) -> AnyArray:
    values = names.values
    if names.faults:
        good = names.bad() == 0
        values = values.filter(pa.array(good))
        codes = (np.cumsum(good, dtype=np.int32) - 1)[codes]
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), values)


def _rejected(batch: _Batch, reason: Uint8s, now: datetime, source: str) -> pa.RecordBatch:
    rows = np.flatnonzero(reason)
    texts = rows_as_json(batch.columns, rows)
    refusals = [
        Refusal(_REASONS[code], *_WORDS[code](batch, row)) for row, code in zip(rows.tolist(), reason[rows].tolist(), strict=True)
    ]
    return rejected_batch(texts, refusals, now, source)


def _name_of(names: Names, code: int) -> str:
    if code < 0:
        return "(none)"
    return repr(names.values[code].as_py()) if code not in names.faults else "(bad name)"


def _series_of(batch: _Batch, row: int) -> str:
    service, metric = int(batch.points.service[row]), int(batch.points.metric[row])
    return f"metric {_name_of(batch.metrics, metric)} of service {_name_of(batch.services, service)}"


def _missing_value(batch: _Batch, row: int) -> tuple[str, str]:
    return (
        "value",
        f"value of {_series_of(batch, row)} is null or not a number; every row needs one: send a number or leave the row out",
    )


def _non_finite(batch: _Batch, row: int) -> tuple[str, str]:
    value = batch.points.value[row]
    return "value", f"value {value} of {_series_of(batch, row)} is not finite; leave the row out where nothing was measured"


def _bad_timestamp(batch: _Batch, row: int) -> tuple[str, str]:
    if batch.points.unknown_time[row]:
        rule = "is null or not a time; send a timestamp or ISO 8601 text"
    else:
        rule = f"{_time_of(batch, row)} is before {EARLIEST:%Y-%m-%d}: check the unit (s, ms, us, ns) at the source"
    return "timestamp", f"timestamp of {_series_of(batch, row)} {rule}"


def _future_timestamp(batch: _Batch, row: int) -> tuple[str, str]:
    rule = f"is later than {batch.latest.isoformat()} (now + tolerance): check the source's clock and unit"
    return "timestamp", f"timestamp {_time_of(batch, row)} of {_series_of(batch, row)} {rule}"


def _time_of(batch: _Batch, row: int) -> str:
    return f"{np.datetime_as_string(batch.points.time_us[row].view('M8[us]'))}Z"


def _out_of_range(batch: _Batch, row: int) -> tuple[str, str]:
    code = int(batch.points.metric[row])
    unit = spec_of(batch.metrics.values[code].as_py()).unit
    low, high = batch.points.low[code], batch.points.high[code]
    rule = f"lies outside {low} to {high} ({unit}): check its unit at the source or the metric catalogue"
    return "value", f"value {batch.points.value[row]} of {_series_of(batch, row)} {rule}"


def _name(batch: _Batch, row: int) -> tuple[str, str]:
    for field, names, code in (
        ("service", batch.services, int(batch.points.service[row])),
        ("metric", batch.metrics, int(batch.points.metric[row])),
    ):
        if code < 0:
            return field, f"{field} is null; every row needs one: fill it in at the source"
        fault = names.faults.get(code)
        if fault is not None:
            return fault.field, fault.text
    raise AssertionError(f"row {row} was refused for a name that has no fault")


def _duplicate(batch: _Batch, row: int) -> tuple[str, str]:
    rule = "was already in the batch; the first row of a series and time is kept: send one"
    return "timestamp", f"timestamp {_time_of(batch, row)} of {_series_of(batch, row)} {rule}"


_WORDS: Final[Mapping[int, Callable[[_Batch, int], tuple[str, str]]]] = {
    kernels.MISSING_VALUE: _missing_value,
    kernels.NON_FINITE: _non_finite,
    kernels.BAD_TIMESTAMP: _bad_timestamp,
    kernels.FUTURE_TIMESTAMP: _future_timestamp,
    kernels.OUT_OF_RANGE: _out_of_range,
    kernels.NAME: _name,
    kernels.DUPLICATE: _duplicate,
}
