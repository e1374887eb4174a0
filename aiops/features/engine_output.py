"""What the engine gives back: the scores of points, and the feature rows of closed ticks."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.features.feature_rows import ClosedTicks, DeferredRows, TickBlocks, series_rows
from aiops.features.robust import scores_of_z
from aiops.features.series_index import SeriesIndex
from aiops.features.series_state import PointResults
from aiops.types import FloatArray


@dataclass(frozen=True, slots=True)
class SeriesOutput:
    """What one call gave: (n,) arrays aligned to the batch's rows, and what the ticks that it closed hold."""

    status: npt.NDArray[np.int8]
    """aiops.types.PointStatus."""
    z: FloatArray
    """Signed robust z; NaN in warm-up and for points that were not scored."""
    score: FloatArray
    """1 - 2**(-|z| / 6)."""
    expected: FloatArray
    """Centre of the view that gave z."""
    scale: FloatArray
    """Scale of the view that gave z: z = (value - expected) / scale, clipped to ±100."""
    slot: npt.NDArray[np.int32]
    """Number of the point's series in `FeatureEngine.series`; -1 = there was no room for it."""
    brief: npt.NDArray[np.bool_]
    """Part of an excursion that has not lasted for 3/4 of a step yet: no alarm."""
    weight: FloatArray
    """Of points beyond their bound: how surprising it is that the series is there, 1 = as of a calm one (`straying`); else 1."""
    series_rows: DeferredRows
    """Rows of series of the ticks that were closed."""
    partials: TickBlocks
    """Partial sums of services, numbers in `SeriesEngine.services`: of every service with a row of a series."""

    @property
    def series_features(self) -> pa.RecordBatch:
        """Return the rows of series, `SERIES_FEATURES_TABLE`; built when first asked for."""
        return self.series_rows.batch

    def with_services(self, rows: DeferredRows) -> "EngineOutput":
        """Return the output of an engine that has the rows of services, too."""
        points = (self.status, self.z, self.score, self.expected, self.scale, self.slot, self.brief, self.weight)
        return EngineOutput(*points, self.series_rows, self.partials, rows)


@dataclass(frozen=True, slots=True)
class EngineOutput(SeriesOutput):
    """What a `FeatureEngine` gave."""

    service_rows: DeferredRows
    """Rows of services, whose numbers are those in `FeatureEngine.services`."""

    @property
    def service_features(self) -> pa.RecordBatch:
        """Return the rows of services, `SERVICE_FEATURES_TABLE`; built when first asked for."""
        return self.service_rows.batch


def unscored(count: int) -> PointResults:
    """Return the results of points before they are applied."""
    z, expected, scale = (np.full(count, np.nan) for _ in range(3))
    slot, brief = np.full(count, -1, np.int32), np.zeros(count, np.bool_)
    return PointResults(np.full(count, -1, np.int8), z, expected, scale, slot, brief, np.ones(count))


def output_of(results: PointResults, blocks: ClosedTicks, index: SeriesIndex) -> SeriesOutput:
    """Return what became of points, with the rows of the ticks that they closed."""
    return SeriesOutput(
        results.status,
        results.z,
        scores_of_z(results.z),
        results.expected,
        results.scale,
        results.slot,
        results.brief,
        results.weight,
        series_rows(blocks.series, index),
        blocks.partials,
    )
