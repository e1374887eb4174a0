"""Service vectors as arrays: what training, replay and evaluation speak."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.errors import ContractError
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.telemetry_schemas import SEQUENCE_FEATURES, SERVICE_FEATURES, TIMESTAMP
from data_contracts.values.moments import moment_of_us

if TYPE_CHECKING:
    import pandas as pd

BoolArray = npt.NDArray[np.bool_]
CALENDAR: tuple[str, ...] = ("hour", "weekday", "minutes_since_incident")
"""Features that are known without any telemetry: they say when, not what."""
_SEQUENCE = frozenset(SEQUENCE_FEATURES)
US_PER_MIN = 60_000_000
US_PER_DAY = 86_400_000_000
LARGEST = 1e30
"""Beyond this a value says no more; XGBoost and float32 networks refuse what float32 cannot hold."""


@dataclass(frozen=True, slots=True)
class ServiceRows:
    """Rows of service vectors in any order: `values[i]` belongs to `services[code[i]]` at `time_us[i]` (us since epoch)."""

    services: tuple[str, ...]
    code: IntArray
    time_us: IntArray
    columns: tuple[str, ...]
    values: FloatArray

    def __len__(self) -> int:
        return int(self.code.size)

    def matrix(self, features: Sequence[str]) -> FloatArray:
        """Return (n, len(features)) float64, C-ordered, NaN = unknown; so are `SEQUENCE_FEATURES` where the rows have none.

        Raises:
            ContractError: a feature is not a column.
        """
        place = {name: number for number, name in enumerate(self.columns)}
        missing = [name for name in features if name not in place and name not in _SEQUENCE]
        if missing:
            raise ContractError(f"features {missing} are not columns of the rows; the rows have {list(self.columns)}")
        if all(name in place for name in features):
            return np.ascontiguousarray(self.values[:, [place[name] for name in features]])
        matrix = np.full((len(self), len(features)), np.nan)
        for number, name in enumerate(features):
            if name in place:
                matrix[:, number] = self.values[:, place[name]]
        return matrix

    def take(self, where: BoolArray | IntArray) -> "ServiceRows":
        """Return the rows chosen by a mask or by row numbers; the service names are kept."""
        return ServiceRows(self.services, self.code[where], self.time_us[where], self.columns, self.values[where])

    def service_days(self) -> float:
        """Return the observed time, summed over services, in days: distinct (service, time) times their usual distance."""
        if not len(self):
            return 0.0
        order = np.lexsort((self.time_us, self.code))
        steps, same = np.diff(self.time_us[order]), np.diff(self.code[order]) == 0
        gaps = steps[same & (steps > 0)]
        distinct = len(self) - int((same & (steps == 0)).sum())
        return distinct * (float(np.median(gaps)) if gaps.size else US_PER_MIN) / US_PER_DAY

    def span(self) -> tuple[datetime, datetime]:
        """Return the first and last time of the rows (aware UTC)."""
        return moment_of_us(int(self.time_us.min())), moment_of_us(int(self.time_us.max()))


def rows_of(frame: "pa.Table | pa.RecordBatch | pd.DataFrame") -> ServiceRows:
    """Return the rows of a table with `service`, `event_timestamp` and feature columns, in the order given.

    Feature columns are those of `SERVICE_FEATURES` and `SEQUENCE_FEATURES` that are present; nulls become NaN.

    Raises:
        ContractError: `service` or `event_timestamp` is missing, or no feature column is present.
    """
    table = _as_table(frame)
    names = set(table.column_names)
    for required in ("service", "event_timestamp"):
        if required not in names:
            raise ContractError(f"column {required!r} is missing; the table has {sorted(names)}")
    columns = tuple(name for name in SERVICE_FEATURES if name in names)
    if not columns:
        raise ContractError(f"no service feature among the columns {sorted(names)}; expected some of {list(SERVICE_FEATURES)}")
    columns += tuple(name for name in SEQUENCE_FEATURES if name in names)
    services = np.asarray(table.column("service").cast(pa.string()).to_pylist(), dtype=object)
    distinct, code = np.unique(services.astype(str), return_inverse=True)
    values = np.empty((table.num_rows, len(columns)))
    for index, name in enumerate(columns):
        values[:, index] = _floats(table.column(name))
    return ServiceRows(tuple(map(str, distinct)), code.astype(np.int64), times_of(table, "event_timestamp"), columns, values)


def times_of(table: pa.Table, column: str) -> IntArray:
    """Return a timestamp column as int64 microseconds since the epoch; naive times are taken as UTC."""
    moments = table.column(column)
    kind = moments.type
    if pa.types.is_timestamp(kind) and kind.tz is None:
        moments = moments.cast(pa.timestamp("us"))
    else:
        moments = moments.cast(TIMESTAMP, safe=False)
    return cast(IntArray, moments.combine_chunks().cast(pa.int64()).to_numpy(zero_copy_only=False).astype(np.int64))


def _as_table(frame: "pa.Table | pa.RecordBatch | pd.DataFrame") -> pa.Table:
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    return pa.Table.from_pandas(frame, preserve_index=False)


def _floats(column: "pa.ChunkedArray[Any]") -> FloatArray:
    values = column.cast(pa.float64()).to_numpy()
    return np.asarray(values, dtype=np.float64)


def bounded(rows: FloatArray) -> FloatArray:
    """Return the rows with infinite values unknown, and values beyond float32 clipped to `LARGEST`.

    >>> bounded(np.array([np.inf, -1e300, 2.0])).tolist()
    [nan, -1e+30, 2.0]
    """
    return np.clip(np.where(np.isfinite(rows), rows, np.nan), -LARGEST, LARGEST)
