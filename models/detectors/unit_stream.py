"""Scores of units carried from batch to batch: a stream cut between two times gives what the whole gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aiops.errors import ArtifactError, StateError
from aiops.types import FloatArray, SeriesBatch, State
from models.artifacts.artifact import array_names, names_array, state_array
from models.detectors.unit_kernels import NO_STEP, in_order
from models.detectors.unit_normal import UnitMemory, UnitNormal
from models.detectors.unit_rows import UnitPoints, grid_of_points, units_of

_FIX: Final = "remove the snapshot to warm up anew"


@dataclass(frozen=True, slots=True, eq=False)
class RememberedUnit:
    """The step after the newest row, what is remembered of it and those before, and a step far ahead that nothing backs yet."""

    next_step: int
    memory: UnitMemory
    waiting: int = NO_STEP


class UnitStream:
    """Keeps the rows of the last week of each unit: 8 B a metric and row. Not thread-safe.

    One time more than an hour ahead of a unit moves nothing: two within an hour of each other do, with none in order between.
    """

    def __init__(
        self, units: Mapping[str, tuple[tuple[str, ...], UnitNormal, RememberedUnit]], state: State | None = None
    ) -> None:
        self._units = units
        self._begun: dict[str, RememberedUnit] = {} if state is None else self._restored(state)

    def score(self, batch: SeriesBatch) -> FloatArray:
        """Return (n,) as `UnitSurprise.score` does, knowing all batches before. O(metrics rows window) a unit.

        Memory of a gap: at most the rows that are kept, however long it is.
        """
        scores = np.full(len(batch), np.nan)
        if not len(batch):
            return scores
        for name, points in units_of(batch, next(iter(self._units.values()))[1].config.step_s).items():
            if name in self._units:
                scores[points.place] = self._score_unit(name, points)
        return scores

    def _score_unit(self, name: str, points: UnitPoints) -> FloatArray:
        series, normal, _ = self._units[name]
        before = self._before(name, int(points.step[0]))
        windows, waiting = normal.config.windows, np.array([before.waiting])
        usable = np.flatnonzero(in_order(points.step, before.next_step, waiting, windows.ahead))
        usable = usable[points.kept(usable).first_of_cells()]
        timely = points.kept(usable)
        scores = np.full(points.step.size, np.nan)
        strongest = []
        for stretch in timely.stretches(windows.ahead) if usable.size else ():
            first, end = before.next_step, int(stretch.step[-1]) + 1
            if first + windows.kept < int(stretch.step[0]):
                before, first = RememberedUnit(int(stretch.step[0]), normal.nothing()), int(stretch.step[0])
            evidence, memory = normal.judge(grid_of_points(stretch, first, end - first, series), before.memory)
            strongest.append(evidence.strongest[stretch.step - first])
            before = RememberedUnit(end, memory)
        self._begun[name] = RememberedUnit(before.next_step, before.memory, int(waiting[0]))
        own = np.isin(np.array(timely.series, dtype=object), np.array(series, dtype=object))[timely.code]
        scores[usable] = np.where(own, 1.0 - np.exp2(-np.concatenate([np.empty(0), *strongest])), np.nan)
        return scores

    def _before(self, name: str, first_step: int) -> RememberedUnit:
        """Return what is remembered, or at the beginning the training part up to the first step scored."""
        if name in self._begun:
            return self._begun[name]
        _, normal, fitted = self._units[name]
        rows = fitted.memory.z.shape[1] - max(0, fitted.next_step - first_step)
        if rows <= 0:
            return RememberedUnit(first_step, normal.nothing())
        return RememberedUnit(min(fitted.next_step, first_step), UnitMemory(fitted.memory.z[:, :rows], 0.0))

    def snapshot(self) -> State:
        """Return names, newest rows and lasting evidence of the units seen."""
        begun = self._begun
        state: dict[str, npt.NDArray[Any]] = {
            "units": names_array(tuple(begun)),
            "next_step": np.array([unit.next_step for unit in begun.values()], dtype=np.int64),
            "waiting": np.array([unit.waiting for unit in begun.values()], dtype=np.int64),
            "lasting": np.array([unit.memory.lasting for unit in begun.values()], dtype=np.float64),
        }
        return state | {f"{number}_rows": unit.memory.z.copy() for number, unit in enumerate(begun.values())}

    def _restored(self, state: State) -> dict[str, RememberedUnit]:
        try:
            names = array_names(state_array(state, "units"))
            steps, waits = (state_array(state, part).astype(np.int64) for part in ("next_step", "waiting"))
            lasts = state_array(state, "lasting").astype(np.float64)
            rows = [state_array(state, f"{number}_rows").astype(np.float64) for number in range(len(names))]
        except ArtifactError as error:
            raise StateError(f"snapshot of a stream of units: {error}; {_FIX}") from error
        fits = steps.shape == waits.shape == lasts.shape == (len(names),) and set(names) <= set(self._units)
        if not fits or any(z.ndim != 2 or len(z) != len(self._units[name][0]) for name, z in zip(names, rows, strict=True)):
            raise StateError(f"snapshot of a stream of units: arrays of {len(names)} units do not fit the model; {_FIX}")
        return {
            name: RememberedUnit(step, UnitMemory(z.copy(), last), wait)
            for name, step, wait, last, z in zip(names, steps.tolist(), waits.tolist(), lasts.tolist(), rows, strict=True)
        }
