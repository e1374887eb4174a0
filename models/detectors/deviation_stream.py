"""Row scores of the system deviation carried from batch to batch: any split of a stream gives what the whole gives."""

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from aiops.errors import ArtifactError, StateError
from aiops.types import FloatArray, IntArray, SeriesBatch, State
from models.artifacts.artifact import array_names, names_array, state_array
from models.detectors.deviation_kernels import lasting_news
from models.detectors.deviation_levels import DeviationConfig
from models.detectors.minute_grid import texts_and_codes

_FIX: Final = "remove the snapshot to warm up anew"


class RowDeviations(Protocol):
    """What a stream asks a fitted model for: deviations of single rows, and which series it was fitted to."""

    @property
    def config(self) -> DeviationConfig:
        """Return what counts."""
        ...

    def knows(self, series: str) -> bool:
        """Return whether a series was fitted."""
        ...

    def row_z(self, names: Sequence[str], code: IntArray, values: FloatArray) -> FloatArray:
        """Return (n,) signed deviations of values of series `names[code]`; NaN where the series was not fitted."""
        ...


class DeviationStream:
    """Keeps the newest deviations of each fitted series: 8 (standing_steps + 1) B a series. Not thread-safe."""

    def __init__(self, model: RowDeviations, state: State | None = None) -> None:
        self._model = model
        self._kept = model.config.standing_steps + 1
        self._tails: dict[str, FloatArray] = {} if state is None else self._restored(state)

    def score(self, batch: SeriesBatch) -> FloatArray:
        """Return (n,) as `SystemDeviation.score` does, knowing all batches before. O(n + series) standing_steps."""
        if not len(batch):
            return np.empty(0)
        names, code = texts_and_codes(batch)
        order = np.argsort(code, kind="stable")
        z = self._model.row_z(names, code[order], np.asarray(batch.table.column("value"), dtype=np.float64)[order])
        counts = np.bincount(code, minlength=len(names))
        tails = [self._tails.get(name, np.empty(0)) for name in names]
        pieces = [piece for pair in zip(tails, np.split(z, np.cumsum(counts)[:-1]), strict=True) for piece in pair]
        ends = np.cumsum(counts + np.array([tail.size for tail in tails], dtype=np.int64))
        joined = np.concatenate(pieces)
        _, new = lasting_news(joined, ends, self._model.config.standing_steps)
        self._keep(names, joined, ends)
        fresh = np.concatenate([np.arange(end - count, end) for end, count in zip(ends.tolist(), counts.tolist(), strict=True)])
        scores = np.empty(len(batch))
        scores[order] = 1.0 - np.exp2(-new[fresh] / (self._model.config.ignored_z + self._model.config.full_z))
        return scores

    def snapshot(self) -> State:
        """Return names and newest deviations of the series seen."""
        tails = list(self._tails.values())
        return {
            "series": names_array(tuple(self._tails)),
            "counts": np.array([tail.size for tail in tails], dtype=np.int64),
            "z": np.concatenate([np.empty(0), *tails]),
        }

    def _keep(self, names: list[str], joined: FloatArray, ends: IntArray) -> None:
        start = 0
        for name, end in zip(names, ends.tolist(), strict=True):
            if self._model.knows(name):
                self._tails[name] = joined[max(start, end - self._kept) : end].copy()
            start = end

    def _restored(self, state: State) -> dict[str, FloatArray]:
        try:
            names = array_names(state_array(state, "series"))
            counts, z = state_array(state, "counts").astype(np.int64), state_array(state, "z").astype(np.float64)
        except ArtifactError as error:
            raise StateError(f"snapshot of a deviation stream: {error}; {_FIX}") from error
        if counts.shape != (len(names),) or (counts < 0).any() or (counts > self._kept).any() or counts.sum() != z.size:
            raise StateError(
                f"snapshot of a deviation stream: {z.size} deviations do not fit {len(names)} series of {self._kept} each; {_FIX}"
            )
        return dict(zip(names, (part.copy() for part in np.split(z, np.cumsum(counts)[:-1])), strict=True)) if names else {}
