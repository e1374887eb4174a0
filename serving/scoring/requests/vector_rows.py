"""The one form of a request that models see, whatever way it came in: services, ticks and a feature matrix."""

from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import SEQUENCE, SEQUENCE_FEATURES, SERVICE_FEATURES, TIMESTAMP
from data_contracts.values.texts import stray_character
from serving.http.problem import refused

BoolArray = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]
MAX_NAME_BYTES: Final = 200
_YEAR_2200_US: Final = 7_258_118_400_000_000
FEATURE_INDEX: Final[dict[str, int]] = {name: index for index, name in enumerate(SERVICE_FEATURES)}
SEQUENCE_INDEX: Final[dict[str, int]] = {name: index for index, name in enumerate(SEQUENCE_FEATURES)}


@dataclass(frozen=True, slots=True)
class RequestRows:
    """Checked rows of one request.

    `services` string, `event_times` timestamp[us, UTC] (null = not given), `features` (n, len(SERVICE_FEATURES)) float64
    in the order of `SERVICE_FEATURES`, NaN = unknown, `looked_up` (n,): the row's features come (or are to come) from the
    online feature store. `sequences` (n, len(SEQUENCE_FEATURES)) float32, NaN = unknown; None = no row brought one.
    """

    services: pa.StringArray
    event_times: pa.TimestampArray
    features: FloatArray
    looked_up: BoolArray
    sequences: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.services)

    def take(self, indices: npt.NDArray[np.int64]) -> "RequestRows":
        """Return the rows at `indices`, in that order."""
        services, times = self.services.take(indices), self.event_times.take(indices)
        sequences = None if self.sequences is None else self.sequences[indices]
        return RequestRows(services, times, self.features[indices], self.looked_up[indices], sequences)

    def matrix(self, names: tuple[str, ...]) -> FloatArray:
        """Return (n, len(names)) float64 of service features and sequence entries, NaN = unknown.

        Raises:
            KeyError: a name that neither has.
        """
        columns = columns_for(names)
        if columns is None:
            return self.features
        if columns.past.size == 0:
            return np.ascontiguousarray(self.features[:, columns.now])
        matrix = np.full((len(self), len(names)), np.nan)
        matrix[:, columns.now_place] = self.features[:, columns.now]
        if self.sequences is not None:
            matrix[:, columns.past_place] = self.sequences[:, columns.past]
        return matrix

    def with_features(self, event_times: pa.TimestampArray, features: FloatArray) -> "RequestRows":
        """Return the same rows with what the online store knew filled in."""
        return replace(self, event_times=event_times, features=features)


def check_row_count(count: int, max_rows: int) -> None:
    """Refuse a request without rows or with too many."""
    if not 1 <= count <= max_rows:
        fix = "split it into several requests" if count else "send at least one row"
        raise refused("rows", f"{count} rows", f"a request holds 1 to {max_rows} rows", fix, "row-limit")


def check_service(service: str, field: str) -> None:
    """Refuse a service name that is empty, longer than 200 UTF-8 bytes, or holds control characters."""
    check_name(service, field, MAX_NAME_BYTES)


def check_name(name: str, field: str, max_bytes: int) -> None:
    """Refuse a name that is empty, longer than `max_bytes` UTF-8 bytes, or holds control characters."""
    rule = name_fault(name, max_bytes)
    if rule:
        fix = "remove control characters" if "printable" in rule else f"send the {field.rpartition('.')[2]}'s name"
        raise refused(field, name, rule, fix)


@lru_cache(maxsize=65_536)
def name_fault(name: str, max_bytes: int) -> str:
    """Return the rule that a name breaks; "" = none. Remembered: the same services are asked about again and again."""
    if not name or len(name.encode(errors="replace")) > max_bytes:
        return f"a name has 1 to {max_bytes} bytes"
    return "" if stray_character(name, single_line=True) is None else "a name is one line of printable characters"


def check_sequences(entries: npt.NDArray[np.float32]) -> None:
    """Refuse sequences (n, len(SEQUENCE_FEATURES)) with an infinite entry."""
    if np.isinf(entries).any():
        row, place = (int(indices[0]) for indices in np.nonzero(np.isinf(entries)))
        field, value = f"rows[{row}].{SEQUENCE}[{place}]", str(entries[row, place])
        raise refused(field, value, "numbers are finite", "send null where a value is unknown", "not-finite")


def check_times(event_times: pa.TimestampArray, name: str = "event_timestamp") -> None:
    """Refuse ticks outside the years 1970 to 2199, which calendars and file formats do not all agree on."""
    if event_times.null_count == len(event_times):
        return
    whole = event_times.view(pa.int64())
    ticks = np.asarray(whole.fill_null(0) if event_times.null_count else whole)
    if ticks.min() < 0 or ticks.max() >= _YEAR_2200_US:
        wrong = (ticks < 0) | (ticks >= _YEAR_2200_US)
        row = int(np.argmax(wrong))
        check_time(int(ticks[row]), f"rows[{row}].{name}")


def check_time(time_us: int, field: str) -> None:
    """Refuse a time (microseconds since 1970) outside the years 1970 to 2199."""
    if not 0 <= time_us < _YEAR_2200_US:
        value = f"{time_us} us since 1970"
        raise refused(field, value, "a time lies in the years 1970 to 2199 (UTC)", "correct the time")


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a model's features lie: `now` in `SERVICE_FEATURES`, `past` in `SEQUENCE_FEATURES`; `*_place` in the model's."""

    now: Places
    now_place: Places
    past: Places
    past_place: Places


@cache
def columns_for(features: tuple[str, ...]) -> Columns | None:
    """Return where a model's features lie; None = exactly all of `SERVICE_FEATURES` in order.

    Raises:
        KeyError: a feature that neither a service vector nor a sequence has.
    """
    if features == SERVICE_FEATURES:
        return None
    past = [place for place, name in enumerate(features) if name in SEQUENCE_INDEX]
    now = [place for place, name in enumerate(features) if name not in SEQUENCE_INDEX]
    return Columns(
        np.asarray([FEATURE_INDEX[features[place]] for place in now], dtype=np.int64),
        np.asarray(now, dtype=np.int64),
        np.asarray([SEQUENCE_INDEX[features[place]] for place in past], dtype=np.int64),
        np.asarray(past, dtype=np.int64),
    )


def fill_from(batch: pa.RecordBatch, rows: RequestRows) -> RequestRows:
    """Fill the looked-up rows from `batch`, one row a looked-up row in order (`schemas.SERVICE_FEATURES_TABLE`).

    The tick of a looked-up row is that of its features; null where the store knows nothing of the service.
    """
    indices = np.flatnonzero(rows.looked_up)
    features = rows.features.copy()
    for column, name in enumerate(SERVICE_FEATURES):
        features[indices, column] = batch.column(name).to_numpy(zero_copy_only=False)
    replacement = batch.column("event_timestamp").cast(TIMESTAMP)
    times = pc.replace_with_mask(rows.event_times, pa.array(rows.looked_up), replacement)
    return rows.with_features(times, features)
