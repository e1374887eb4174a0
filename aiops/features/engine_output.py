"""What the engine gives back: the scores of points, and the feature rows of closed ticks."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.features.feature_rows import ClosedTicks, DeferredRows, series_rows, service_rows
from aiops.features.robust import scores_of_z
from aiops.features.series_index import SeriesIndex
from aiops.features.series_state import PointResults
from aiops.types import FloatArray


@dataclass(frozen=True, slots=True)
class EngineOutput:
    """What one call gave: (n,) arrays aligned to the batch's rows, and the rows of the ticks it closed."""

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
    series_rows: DeferredRows
    """Rows of series of the ticks that were closed."""
    service_rows: DeferredRows
    """Rows of services, whose numbers are those in `FeatureEngine.services`."""

    @property
    def series_features(self) -> pa.RecordBatch:
        """Return the rows of series, `SERIES_FEATURES_TABLE`; built when first asked for."""
        return self.series_rows.batch

    @property
    def service_features(self) -> pa.RecordBatch:
        """Return the rows of services, `SERVICE_FEATURES_TABLE`; built when first asked for."""
        return self.service_rows.batch


def unscored(count: int) -> PointResults:
    """Return the results of points before they are applied."""
    z, expected, scale = (np.full(count, np.nan) for _ in range(3))
    return PointResults(np.full(count, -1, np.int8), z, expected, scale, np.full(count, -1, np.int32))


def output_of(results: PointResults, blocks: ClosedTicks, index: SeriesIndex) -> EngineOutput:
    """Return what became of points, with the rows of the ticks that they closed."""
    return EngineOutput(
        results.status,
        results.z,
        scores_of_z(results.z),
        results.expected,
        results.scale,
        results.slot,
        series_rows(blocks.series, index),
        service_rows(blocks.services, index),
    )
