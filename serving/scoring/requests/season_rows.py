"""Rows of one request to /season, JSON or Arrow: service, metric, timestamp, value. The limits and words of /score."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Final, Protocol, cast

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.types import FloatArray, IntArray
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.series.key import SeriesKey
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.series.text import MAX_BYTES, SeriesTextError, metric_of, series_text
from serving.http.problem import refused
from serving.scoring.requests.arrow_rows import read_batches
from serving.scoring.requests.json_rows import refusal
from serving.scoring.requests.vector_rows import MAX_NAME_BYTES, check_name, check_row_count, check_times, name_fault

MAX_METRIC_BYTES: Final = MAX_BYTES
COLUMNS: Final = {"service": pa.string(), "metric": pa.string(), "timestamp": TIMESTAMP, "value": pa.float64()}
_BETWEEN: Final = "\x1f"
_FIX: Final = "send service, metric, timestamp and value"


@dataclass(frozen=True, slots=True)
class SeasonRows:
    """Checked points of one request: `time_us` (n,) microseconds since 1970, `value` (n,) NaN = unknown."""

    services: pa.StringArray
    metrics: pa.StringArray
    time_us: IntArray
    value: FloatArray

    def __len__(self) -> int:
        return len(self.services)

    @property
    def timestamps(self) -> pa.TimestampArray:
        """Return the times as Arrow."""
        return cast(pa.TimestampArray, pa.array(self.time_us).cast(TIMESTAMP))

    def series(self) -> tuple[list[str], IntArray]:
        """Return the distinct series as people read them and each row's number among them (n,)."""
        joined = pc.binary_join_element_wise(self.services, self.metrics, _BETWEEN)  # type: ignore[call-overload]
        coded = cast("pa.DictionaryArray[Any, Any]", pc.dictionary_encode(joined))
        parts = [str(name).partition(_BETWEEN) for name in coded.dictionary.to_pylist()]
        return [_series_text(service, metric) for service, _, metric in parts], np.asarray(coded.indices, dtype=np.int64)


class _Row(Protocol):
    service: str
    metric: str
    timestamp: datetime
    value: float | None


@cache
def _decoder() -> msgspec.json.Decoder[Any]:
    name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_METRIC_BYTES)]
    moment = Annotated[datetime, msgspec.Meta(tz=True)]
    fields: list[Any] = [("service", name), ("metric", name), ("timestamp", moment), ("value", float | None)]
    row = msgspec.defstruct("Row", fields, frozen=True, forbid_unknown_fields=True, gc=False)
    members: list[Any] = [("rows", list[row])]  # type: ignore[valid-type]
    return msgspec.json.Decoder(msgspec.defstruct("Body", members, frozen=True, forbid_unknown_fields=True))


def parse_season_json(body: bytes, max_rows: int) -> SeasonRows:
    """Decode `{"rows": [{"service", "metric", "timestamp", "value"}]}`; a value that is null is unknown.

    Raises:
        ProblemError: 400 naming field, value, rule and fix.
    """
    try:
        records: Sequence[_Row] = _decoder().decode(body).rows
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise refusal(error, body, _FIX) from error
    check_row_count(len(records), max_rows)
    values = np.array([np.nan if record.value is None else record.value for record in records], dtype=np.float64)
    times = pa.array([record.timestamp for record in records], TIMESTAMP)
    texts = [pa.array([getattr(record, name) for record in records], pa.string()) for name in ("service", "metric")]
    return checked_points(texts[0], texts[1], np.asarray(times.cast(pa.int64()), dtype=np.int64), values)


def parse_season_arrow(body: bytes, max_rows: int) -> SeasonRows:
    """Decode one Arrow IPC stream of exactly the columns of `COLUMNS`; a value that is null is unknown.

    Raises:
        ProblemError: 400 naming the column or the part of the stream.
    """
    schema, batches = read_batches(body, max_rows)
    _check_schema(schema)
    check_row_count(sum(batch.num_rows for batch in batches), max_rows)
    services, metrics, times, value = (pa.concat_arrays([batch.column(name) for batch in batches]) for name in COLUMNS)
    for name, column in (("service", services), ("metric", metrics), ("timestamp", times)):
        if column.null_count:
            row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise refused(f"rows[{row}].{name}", "null", "the cell is required", _FIX)
    given = np.asarray(value.to_numpy(zero_copy_only=False), dtype=np.float64)
    time_us = np.asarray(times.cast(pa.int64()), dtype=np.int64)
    return checked_points(cast(pa.StringArray, services), cast(pa.StringArray, metrics), time_us, given)


def checked_points(services: pa.StringArray, metrics: pa.StringArray, time_us: IntArray, value: FloatArray) -> SeasonRows:
    """Return points whose names, times and values keep the rules; each name is checked once.

    Raises:
        ProblemError: 400 naming the first row that breaks one.
    """
    for name, column, most in (("service", services, MAX_NAME_BYTES), ("metric", metrics, MAX_METRIC_BYTES)):
        coded = column.dictionary_encode()
        for code, text in enumerate(coded.dictionary.to_pylist()):
            if name_fault(str(text), most):
                row = int(np.argmax(np.asarray(coded.indices) == code))
                check_name(str(text), f"rows[{row}].{name}", most)
    check_times(cast(pa.TimestampArray, pa.array(time_us).cast(TIMESTAMP)), "timestamp")
    infinite = np.isinf(value)
    if infinite.any():
        row = int(np.argmax(infinite))
        rule, fix = "numbers are finite", "send null where a value is unknown"
        raise refused(f"rows[{row}].value", str(value[row]), rule, fix, "not-finite")
    return SeasonRows(services, metrics, time_us, value)


def _check_schema(schema: pa.Schema) -> None:
    if sorted(schema.names) != sorted(COLUMNS):
        raise refused("schema", ", ".join(schema.names), f"the columns are {', '.join(COLUMNS)}", _FIX)
    for name, kind in COLUMNS.items():
        column_type = schema.field(name).type
        if column_type != kind:
            raise refused(name, str(column_type), f"the column's type is {kind}", f"cast it to {kind}")


def _series_text(service: str, metric: str) -> str:
    """Return a series from its service and its metric, which callers may write with labels as people read them."""
    try:
        name, labels = metric_of(metric)
    except SeriesTextError:
        name, labels = metric, ()
    return series_text(SeriesKey(DEFAULT_TENANT, service, name, labels))
