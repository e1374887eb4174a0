"""Points of many series as rows of units: a unit is a service, a row a step of time, a column one of its series."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.types import FloatArray, IntArray, SeriesBatch
from models.detectors.minute_grid import merged_name, texts_and_codes
from models.detectors.unit_kernels import UnitWindows


@dataclass(frozen=True, slots=True, eq=False)
class UnitPoints:
    """Points of one unit in a batch, in their order (k,): places in the batch, steps since 1970, values, and numbers of series.

    `code` counts replicas of a service as one of `series`; `replica` tells them apart.
    """

    place: IntArray
    step: IntArray
    series: tuple[str, ...]
    code: IntArray
    replica: IntArray
    value: FloatArray

    def kept(self, mask: npt.NDArray[np.bool_] | IntArray) -> "UnitPoints":
        """Return the points of a mask (k,) or at some places."""
        columns = (self.code[mask], self.replica[mask], self.value[mask])
        return UnitPoints(self.place[mask], self.step[mask], self.series, *columns)

    def first_of_cells(self) -> npt.NDArray[np.bool_]:
        """Return (k,) which points are the first of their replica and step."""
        mask = np.zeros(self.step.size, np.bool_)
        order = np.lexsort((self.replica, self.step))
        again = (np.diff(self.step[order]) == 0) & (np.diff(self.replica[order]) == 0)
        mask[order[np.concatenate([np.ones(min(1, mask.size), np.bool_), ~again])]] = True
        return mask

    def stretches(self, longest_gap: int) -> list["UnitPoints"]:
        """Return points in order of time, cut where no step is known for longer than the gap; each cut is at a new step."""
        edges = [0, *(np.flatnonzero(np.diff(self.step) > longest_gap) + 1).tolist(), self.step.size]
        return [self.kept(np.arange(begin, end)) for begin, end in pairwise(edges)]


@dataclass(frozen=True, slots=True, eq=False)
class UnitGrid:
    """`values` (steps, len(series)) up to before `next_step`, NaN where nothing was measured; `series` ascending."""

    next_step: int
    series: tuple[str, ...]
    values: FloatArray


def units_of(batch: SeriesBatch, step_s: int) -> dict[str, UnitPoints]:
    """Return the points of a batch by unit, units ascending; replicas of a service are one series."""
    names, code = texts_and_codes(batch)
    merged = [merged_name(name) for name in names]
    services = batch.table.column("service").dictionary_encode()
    owner_names = services.dictionary.to_pylist()
    owner = np.asarray(services.indices, dtype=np.int64)
    step = np.asarray(batch.table.column("timestamp").cast(pa.int64())) // (step_s * 1_000_000)
    value = np.asarray(batch.table.column("value"), dtype=np.float64)
    units = {}
    for name in sorted({str(owner_names[number]) for number in np.unique(owner).tolist()}):
        same = [number for number, text in enumerate(owner_names) if text == name]
        place = np.flatnonzero(np.isin(owner, same))
        own = sorted({merged[number] for number in np.unique(code[place]).tolist()})
        numbers = {text: number for number, text in enumerate(own)}
        lookup = np.array([numbers.get(text, -1) for text in merged], dtype=np.int64)
        units[name] = UnitPoints(place, step[place], tuple(own), lookup[code[place]], code[place], value[place])
    return units


def grid_of_points(points: UnitPoints, first_step: int, steps: int, series: tuple[str, ...]) -> FloatArray:
    """Return (steps, len(series)) the mean of each cell's points from `first_step` on; other series are left out."""
    column = {name: number for number, name in enumerate(series)}
    lookup = np.array([column.get(name, -1) for name in points.series], dtype=np.int64)
    columns = lookup[points.code]
    used = (columns >= 0) & np.isfinite(points.value)
    cells = (points.step[used] - first_step) * len(series) + columns[used]
    counts = np.bincount(cells, minlength=steps * len(series))
    with np.errstate(invalid="ignore", over="ignore"):
        means = np.bincount(cells, points.value[used], steps * len(series)) / counts
    return np.asarray(means.reshape(steps, len(series)))


def unit_grids(batch: SeriesBatch, step_s: int, windows: UnitWindows) -> dict[str, UnitGrid]:
    """Return the grid of every unit from its first to its last step; points in any order.

    A gap is at most `windows.kept` rows: no deviation reads farther back. A last step alone, more than `windows.ahead` behind the
    one before, is left out: nothing backs it.
    """
    grids = {}
    for name, points in units_of(batch, step_s).items():
        known = np.unique(points.step)
        near = np.flatnonzero(np.diff(known) <= windows.ahead)
        known = known[: near[-1] + 2] if near.size else known
        backed = points.kept(points.step <= known[-1])
        row = np.concatenate([[0], np.cumsum(np.minimum(np.diff(known), windows.kept + 1))])
        placed = replace(backed, step=row[np.searchsorted(known, backed.step)])
        values = grid_of_points(placed, 0, int(row[-1]) + 1, points.series)
        grids[name] = UnitGrid(int(known[-1]) + 1, points.series, values)
    return grids
