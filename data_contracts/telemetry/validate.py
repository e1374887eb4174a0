"""The validator of `telemetry` v2: raw rows in, accepted points and rejected rows out; data never raises.

Each rejected row carries the first reason that applies, in this order: missing_value (null, not a number), non_finite,
bad_timestamp (null, not a time, before 2000-01-01), future_timestamp (later than now + tolerance), out_of_range (of the metric's
contract, for a metric whose name is not refused), name (see `names` and `series.label_sets`), foreign_tenant (of another tenant
than the batch), kind (no kind or temporality of metrics), not_normalised (cumulative: nothing cumulative is scored), duplicate
(an earlier accepted row of the batch has the same series and time).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa

from data_contracts.schemas.metrics import spec_of
from data_contracts.schemas.telemetry_schemas import REJECTED, SERIES
from data_contracts.series.key import labels_of
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.series.text import metric_text
from data_contracts.telemetry.encoding import encoded, encoded_metrics
from data_contracts.telemetry.forms import kind_words, rows_by_form, rows_by_owner, tenant_words
from data_contracts.telemetry.label_sets import Streams
from data_contracts.telemetry.raw_rows import RawRows, key_strings, read_rows
from data_contracts.telemetry.rejects import Refusal, rejected_batch, rows_as_json
from data_contracts.values import kernels
from data_contracts.values.coerce import AnyArray, SchemaError
from data_contracts.values.kernels import Int64s, Uint8s
from data_contracts.values.moments import microseconds_of

__all__ = ["SchemaError", "Validated", "validate"]

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_REASONS: Final = {
    kernels.MISSING_VALUE: "missing_value",
    kernels.NON_FINITE: "non_finite",
    kernels.BAD_TIMESTAMP: "bad_timestamp",
    kernels.FUTURE_TIMESTAMP: "future_timestamp",
    kernels.OUT_OF_RANGE: "out_of_range",
    kernels.NAME: "name",
    kernels.FOREIGN_TENANT: "foreign_tenant",
    kernels.KIND: "kind",
    kernels.NOT_NORMALISED: "not_normalised",
    kernels.DUPLICATE: "duplicate",
}
_NONE_REJECTED: Final = pa.RecordBatch.from_pylist([], schema=REJECTED)
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


def validate(
    table: pa.Table | pa.RecordBatch,
    now: datetime,
    source: str = "",
    future_tolerance_s: int = 300,
    tenant: str = DEFAULT_TENANT,
) -> Validated:
    """Split raw telemetry of one tenant into accepted points and rejected rows with a reason each.

    Rows that name no tenant are `tenant`'s; a table of several is split before (`series.owners.by_tenant`), rows of others are
    rejected. Columns other than the contract's are ignored. O(rows) time; memory of a few arrays of the batch's length.

    Raises:
        SchemaError: a required column is absent, comes twice, or has a type that cannot hold its contract.
        ValueError: `now` has no time zone.
    """
    if now.tzinfo is None:
        raise ValueError(f"now {now.isoformat()} has no time zone; times are aware UTC: pass datetime.now(UTC)")
    batch = read_rows(table, now + timedelta(seconds=future_tolerance_s), tenant)
    reason = kernels.judge(batch.points, microseconds_of(EARLIEST), microseconds_of(batch.latest))
    rows_by_owner(batch.columns, tenant, reason)
    rows_by_form(batch.columns, reason)
    ids = _identified(batch, reason)
    rows = np.flatnonzero(reason == kernels.ACCEPTED)
    accepted = _accepted(batch, rows, ids)
    if len(rows) == len(reason):
        return Validated(accepted, rows, _NONE_REJECTED)
    return Validated(accepted, rows, _rejected(batch, reason, now, source))


def _identified(batch: RawRows, reason: Uint8s) -> Int64s:
    """Return (n,) series ids, those of accepted rows only; mark duplicates on the way."""
    points, keys = batch.points, key_strings(batch)
    ids = np.empty(len(reason), np.int64)
    if len(points.bad_service) * len(points.bad_stream) > max(_DENSE_SERIES, 4 * len(reason)):
        kernels.mark_duplicates(points, reason)
        kernels.identify_sparse(points, reason, keys, ids)
    elif not kernels.identify(points, reason, keys, ids):
        kernels.mark_duplicates(points, reason)
    return ids


def _accepted(batch: RawRows, rows: Int64s, ids: Int64s) -> pa.RecordBatch:
    points, streams = batch.points, batch.streams
    time_us, value, service, stream = points.time_us, points.value, points.service, points.stream
    if len(rows) < len(points.value):
        time_us, value, service, stream, ids = time_us[rows], value[rows], service[rows], stream[rows], ids[rows]
    if streams.plain:
        metric, labels = stream, np.zeros(len(stream), np.int32)
    else:
        metric, labels = streams.metric[stream], streams.labels[stream]
    columns: list[AnyArray] = [
        pa.array(time_us, pa.int64()).view(SERIES.field("timestamp").type),
        pa.array(ids, pa.int64()),
        encoded(batch.services, service),
        encoded_metrics(streams, metric),
        pa.DictionaryArray.from_arrays(pa.array(labels, pa.int32()), streams.label_texts, safe=False),
        pa.array(value, pa.float64()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SERIES)


def _rejected(batch: RawRows, reason: Uint8s, now: datetime, source: str) -> pa.RecordBatch:
    rows = np.flatnonzero(reason)
    texts = rows_as_json(batch.columns, rows)
    refusals = [
        Refusal(_REASONS[code], *_WORDS[code](batch, row)) for row, code in zip(rows.tolist(), reason[rows].tolist(), strict=True)
    ]
    return rejected_batch(texts, refusals, now, source)


def _series_of(batch: RawRows, row: int) -> str:
    return f"metric {_metric_name(batch.streams, int(batch.points.stream[row]))} of service {_service_name(batch, row)}"


def _service_name(batch: RawRows, row: int) -> str:
    code = int(batch.points.service[row])
    if code < 0:
        return "(none)"
    return repr(batch.services.values[code].as_py()) if code not in batch.services.faults else "(bad name)"


def _metric_name(streams: Streams, code: int) -> str:
    if code < 0:
        return "(none)"
    if code in streams.faults:
        return "(bad name)"
    labels = labels_of(str(streams.label_texts[int(streams.labels[code])].as_py()))
    return repr(metric_text(_base_name(streams, code), labels))


def _base_name(streams: Streams, code: int) -> str:
    return str(streams.metrics[int(streams.metric[code])].as_py())


def _missing_value(batch: RawRows, row: int) -> tuple[str, str]:
    return (
        "value",
        f"value of {_series_of(batch, row)} is null or not a number; every row needs one: send a number or leave the row out",
    )


def _non_finite(batch: RawRows, row: int) -> tuple[str, str]:
    value = batch.points.value[row]
    return "value", f"value {value} of {_series_of(batch, row)} is not finite; leave the row out where nothing was measured"


def _bad_timestamp(batch: RawRows, row: int) -> tuple[str, str]:
    if batch.points.unknown_time[row]:
        rule = "is null or not a time; send a timestamp or ISO 8601 text"
    else:
        rule = f"{_time_of(batch, row)} is before {EARLIEST:%Y-%m-%d}: check the unit (s, ms, us, ns) at the source"
    return "timestamp", f"timestamp of {_series_of(batch, row)} {rule}"


def _future_timestamp(batch: RawRows, row: int) -> tuple[str, str]:
    rule = f"is later than {batch.latest.isoformat()} (now + tolerance): check the source's clock and unit"
    return "timestamp", f"timestamp {_time_of(batch, row)} of {_series_of(batch, row)} {rule}"


def _time_of(batch: RawRows, row: int) -> str:
    return f"{np.datetime_as_string(batch.points.time_us[row].view('M8[us]'))}Z"


def _out_of_range(batch: RawRows, row: int) -> tuple[str, str]:
    code = int(batch.points.stream[row])
    unit = spec_of(_base_name(batch.streams, code)).unit
    low, high = batch.points.low[code], batch.points.high[code]
    rule = f"lies outside {low} to {high} ({unit}): check its unit at the source or the metric catalogue"
    return "value", f"value {batch.points.value[row]} of {_series_of(batch, row)} {rule}"


def _name(batch: RawRows, row: int) -> tuple[str, str]:
    for field, faults, code in (
        ("service", batch.services.faults, int(batch.points.service[row])),
        ("metric", batch.streams.faults, int(batch.points.stream[row])),
    ):
        if code < 0:
            return field, f"{field} is null; every row needs one: fill it in at the source"
        fault = faults.get(code)
        if fault is not None:
            return fault.field, fault.text
    return _foreign_tenant(batch, row)


def _foreign_tenant(batch: RawRows, row: int) -> tuple[str, str]:
    return "tenant", f"{tenant_words(batch.columns, batch.tenant, row)} (row of {_series_of(batch, row)})"


def _kind(batch: RawRows, row: int) -> tuple[str, str]:
    return kind_words(batch.columns, row, _series_of(batch, row))


def _duplicate(batch: RawRows, row: int) -> tuple[str, str]:
    rule = "was already in the batch; the first row of a series and time is kept: send one"
    return "timestamp", f"timestamp {_time_of(batch, row)} of {_series_of(batch, row)} {rule}"


_WORDS: Final[Mapping[int, Callable[[RawRows, int], tuple[str, str]]]] = {
    kernels.MISSING_VALUE: _missing_value,
    kernels.NON_FINITE: _non_finite,
    kernels.BAD_TIMESTAMP: _bad_timestamp,
    kernels.FUTURE_TIMESTAMP: _future_timestamp,
    kernels.OUT_OF_RANGE: _out_of_range,
    kernels.NAME: _name,
    kernels.FOREIGN_TENANT: _foreign_tenant,
    kernels.KIND: _kind,
    kernels.NOT_NORMALISED: _kind,
    kernels.DUPLICATE: _duplicate,
}
