"""Which services go to the models at a closed tick: those that tier 1 flagged, and all of them at the prediction cadence."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.detection.service_levels import LevelRows, ServiceLevels
from aiops.detection.worst_points_by_service import TakenPoints
from aiops.features.feature_rows import DeferredRows
from aiops.features.sequences import SequenceRows, Sequences
from aiops.features.service_features import EXCESS, FARTHEST, JUDGED
from aiops.types import IntArray
from data_contracts.schemas import telemetry_schemas
from data_contracts.schemas.telemetry_schemas import SEQUENCE_SIGNALS, SERVICE_FEATURES, TIMESTAMP

_SIGNALS: Final = [SERVICE_FEATURES.index(name) for name in SEQUENCE_SIGNALS]
_COLUMNS: Final = {field.name: field.type for field in telemetry_schemas.CANDIDATES}
POINT_NAMES: Final = ("series_id", "metric", "labels")
POINT_FIGURES: Final = ("value", "z", "alarm_z", "score", "expected", "lower", "upper")


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
    """Rows of services of closed ticks, one at least; their numbers are those of `service_names`."""

    services: DeferredRows
    service_names: Sequence[str]


@dataclass(frozen=True, slots=True)
class ServicePast:
    """What is held of services: their sequences, and their alarm levels."""

    sequences: Sequences
    levels: ServiceLevels


@dataclass(frozen=True, slots=True)
class CandidateRows:
    """Candidates as numbers, (k,) each: `candidate_batches` makes rows of them, of many ticks at once."""

    services: DeferredRows
    points: TakenPoints
    scheduled: npt.NDArray[np.bool_]
    sequences: npt.NDArray[np.float32]  # (k, len(SEQUENCE_FEATURES))
    tier1_version: str

    def __len__(self) -> int:
        return int(self.scheduled.size)

    @property
    def with_point(self) -> int:
        """Return how many have a worst point."""
        return int(np.count_nonzero(self.points.known))


def candidates_of(rows: ClosedRows, worst: TakenPoints, past: ServicePast, cadence: Cadence, tier1_version: str) -> CandidateRows:
    """Return the candidates of the closed ticks, in their order.

    `worst`: the worst point of every row. Puts the rows into sequences and levels. Services with a point beyond its series'
    bound go to the models; tier 1 flags those that are beyond their own level, too.
    """
    ticks, numbers = rows.services.ticks_us(), rows.services.numbers()
    scheduled = cadence.falls_on(ticks)
    excess, farthest, judged = rows.services.features((EXCESS, FARTHEST, JUDGED)).T
    levels = past.levels.levels(rows.service_names, LevelRows(numbers, ticks, excess, farthest, judged))
    wanted = worst.flagged | scheduled
    places: IntArray = np.flatnonzero(wanted)
    with np.errstate(over="ignore"):
        signals = rows.services.features(_SIGNALS).astype(np.float32)
    sequences = past.sequences.update_arrays(rows.service_names, SequenceRows(numbers, ticks // cadence.step_us, signals, wanted))
    points = worst.chosen(places).raised(levels[places], excess[places])
    return CandidateRows(rows.services.chosen(places), points, scheduled[places], sequences, tier1_version)


def candidate_batches(runs: Sequence[CandidateRows]) -> list[pa.RecordBatch]:
    """Return `telemetry_schemas.CANDIDATES` rows in order, in one batch where all are of services of one source."""
    return [_batch(list(run)) for _, run in groupby(runs, lambda rows: rows.services.source)]


def _batch(runs: Sequence[CandidateRows]) -> pa.RecordBatch:
    points = [rows.points for rows in runs]
    columns: dict[str, Any] = DeferredRows.joined([rows.services for rows in runs]).columns()
    columns |= point_columns(points)
    columns["flagged"] = np.concatenate([part.flagged for part in points])
    columns["scheduled"] = np.concatenate([rows.scheduled for rows in runs])
    columns["tier1_version"] = pa.concat_arrays([pa.repeat(rows.tier1_version, len(rows)) for rows in runs])
    columns[telemetry_schemas.SEQUENCE] = _sequence_column(np.concatenate([rows.sequences for rows in runs]))
    arrays = [as_array(columns[name], kind) for name, kind in _COLUMNS.items()]
    return pa.RecordBatch.from_arrays(arrays, schema=telemetry_schemas.CANDIDATES)


def point_columns(parts: Sequence[TakenPoints]) -> dict[str, Any]:
    """Return the columns that concern the worst points of one part after another; null where there is none."""
    unknown = ~np.concatenate([points.known for points in parts])
    held = np.concatenate([points.held for points in parts])
    names = zip(*(points.series_columns() for points in parts), strict=True)
    return {
        **dict(zip(POINT_NAMES, map(pa.concat_arrays, names), strict=True)),
        **{figure: pa.array(np.ascontiguousarray(held[figure]), mask=unknown, from_pandas=True) for figure in POINT_FIGURES},
        "point_timestamp": pa.array(np.ascontiguousarray(held["timestamp_us"]), mask=unknown).view(TIMESTAMP),
        **_finding_columns(parts),
    }


def _finding_columns(parts: Sequence[TakenPoints]) -> dict[str, Any]:
    known = np.concatenate([points.known for points in parts])
    if known.all() and not any(points.findings for points in parts):
        return {"finding": pa.repeat("", known.size), "certain": np.zeros(known.size, np.bool_)}
    noted = (finding for points in parts for finding in points.noted())
    findings = [finding if held else None for held, finding in zip(known.tolist(), noted, strict=True)]
    return {
        "finding": [None if finding is None else finding.words for finding in findings],
        "certain": [None if finding is None else finding.certain for finding in findings],
    }


def _sequence_column(sequences: npt.NDArray[np.float32]) -> "pa.Array[Any]":
    """Return one list a row, null where nothing of it is known."""
    unknown = np.asarray(np.isnan(sequences).all(axis=1))
    entries = pa.array(sequences.reshape(-1), pa.float32())
    made: pa.Array[Any] = pa.FixedSizeListArray.from_arrays(entries, sequences.shape[1], mask=pa.array(unknown))
    return made


def as_array(values: Any, kind: pa.DataType) -> "pa.Array[Any]":
    """Return a column as it is, or made of a list or numpy array; NaN becomes null."""
    if isinstance(values, (list, np.ndarray)):
        values = pa.array(values, type=kind, from_pandas=pa.types.is_floating(kind))
    made: pa.Array[Any] = values
    return made
