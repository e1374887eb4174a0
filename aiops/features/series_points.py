"""Points of named series as arrays: what the engine and the second opinion take in, with names only where a series is new."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.errors import ContractError
from aiops.features.series_index import NameHashes, names_at
from aiops.types import FloatArray, IntArray, SeriesBatch
from data_contracts.series.series_name import SeriesName


@dataclass(frozen=True, slots=True)
class SeriesPoints:
    """Points in order of arrival, (n,) each.

    Raises:
        ContractError: a column has another length than the others.
    """

    time_us: IntArray
    """Event time, us since the epoch."""
    series_id: IntArray
    name_hash: IntArray
    """Of the series' names, as `series_index.name_hashes` gives it: tells two series apart that share an id."""
    value: FloatArray
    names: Callable[[IntArray], Sequence[SeriesName]]
    """Return the series of some rows; called with the first row of every new series, in order of first arrival."""

    def __post_init__(self) -> None:
        """Check the lengths."""
        sizes = {self.time_us.shape, self.series_id.shape, self.name_hash.shape, self.value.shape}
        if len(sizes) != 1 or self.value.ndim != 1:
            raise ContractError(f"points have columns of shapes {sorted(sizes)}: one time, id, hash and value a point is needed")

    def __len__(self) -> int:
        return int(self.value.size)

    def taken(self, kept: npt.NDArray[np.bool_]) -> "SeriesPoints":
        """Return the points that are `kept` (n,), these points themselves where that is all of them."""
        if kept.all():
            return self
        return self._at(np.flatnonzero(kept))

    def by_time(self) -> "SeriesPoints":
        """Return the points ascending in time, those of one time as they are; these points themselves where they ascend."""
        if (self.time_us[1:] >= self.time_us[:-1]).all():
            return self
        return self._at(np.argsort(self.time_us, kind="stable"))

    def _at(self, places: IntArray) -> "SeriesPoints":
        return SeriesPoints(
            self.time_us[places],
            self.series_id[places],
            self.name_hash[places],
            self.value[places],
            lambda rows: self.names(places[rows]),
        )


def points_of_batch(batch: SeriesBatch, hashes: NameHashes) -> SeriesPoints:
    """Return the points of a batch; `hashes` remembers the dictionaries of the batches before."""
    table = batch.table
    time_us: IntArray = table.column("timestamp").view(pa.int64()).to_numpy(zero_copy_only=False)
    series_id: IntArray = table.column("series_id").to_numpy(zero_copy_only=False)
    value: FloatArray = table.column("value").to_numpy(zero_copy_only=False)
    return SeriesPoints(time_us, series_id, hashes.of(table), value, lambda rows: names_at(table, rows))
