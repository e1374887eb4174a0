"""Which services go to the models at a closed tick: those that tier 1 flagged, and all of them at the prediction cadence."""

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.detection.worst_point import WorstPoint, WorstPoints
from aiops.types import IntArray
from data_contracts.schemas import telemetry_schemas

_POINT_COLUMNS: Final = tuple(
    name for name in telemetry_schemas.CANDIDATES.names if name in {field.name for field in fields(WorstPoint)}
)


@dataclass(frozen=True, slots=True)
class Cadence:
    """Time between ticks, and between predictions of a service; us."""

    step_us: int
    predict_every_us: int

    def falls_on(self, ticks: IntArray) -> npt.NDArray[np.bool_]:
        """Return where a multiple of `predict_every_us` lies in (tick - step, tick]."""
        return np.asarray(ticks // self.predict_every_us != (ticks - self.step_us) // self.predict_every_us)


@dataclass(frozen=True, slots=True)
class ClosedRows:
    """Rows of closed ticks: `features` (SERVICE_FEATURES_TABLE), `sequences` (n, len(SEQUENCE_FEATURES)) float32."""

    features: pa.RecordBatch
    sequences: npt.NDArray[np.float32]


def candidates_of(rows: ClosedRows, worst: WorstPoints, cadence: Cadence, tier1_version: str) -> pa.RecordBatch:
    """Return `telemetry_schemas.CANDIDATES` rows for the closed ticks, in their order.

    Takes the services' worst points out of `worst`.
    """
    features = rows.features
    ticks = features.column("event_timestamp").cast(pa.int64()).to_numpy()
    scheduled = cadence.falls_on(ticks)
    services = [str(name) for name in features.column("service").to_pylist()]
    points = [worst.take(service, tick) for service, tick in zip(services, ticks.tolist(), strict=True)]
    worst.forget_through(int(ticks.max()))
    flagged = np.array([point is not None and point.flagged for point in points], dtype=bool)
    places = np.flatnonzero(flagged | scheduled)
    chosen = features.take(places)
    worst_points = [points[place] for place in places.tolist()]
    columns: dict[str, Any] = {name: chosen.column(name) for name in chosen.schema.names}
    columns |= {name: [None if point is None else getattr(point, name) for point in worst_points] for name in _POINT_COLUMNS}
    columns["point_timestamp"] = [None if point is None else point.timestamp_us for point in worst_points]
    columns["flagged"], columns["scheduled"] = flagged[places], scheduled[places]
    columns["tier1_version"] = [tier1_version] * len(places)
    columns[telemetry_schemas.SEQUENCE] = _sequence_column(rows.sequences[places])
    arrays = [_array(columns[field.name], field.type) for field in telemetry_schemas.CANDIDATES]
    return pa.RecordBatch.from_arrays(arrays, schema=telemetry_schemas.CANDIDATES)


def _sequence_column(sequences: npt.NDArray[np.float32]) -> "pa.Array[Any]":
    """Return one list a row, null where nothing of it is known."""
    unknown = np.asarray(np.isnan(sequences).all(axis=1))
    entries = pa.array(sequences.reshape(-1), pa.float32())
    made: pa.Array[Any] = pa.FixedSizeListArray.from_arrays(entries, sequences.shape[1], mask=pa.array(unknown))
    return made


def _array(values: Any, kind: pa.DataType) -> "pa.Array[Any]":
    if isinstance(values, pa.Array):
        return values
    made: pa.Array[Any] = pa.array(values, type=kind, from_pandas=pa.types.is_floating(kind))
    return made
