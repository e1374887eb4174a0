"""Tier 3: Isolation Forest over service vectors, trained by sklearn, kept as flat arrays, scored by a compiled kernel.

Source: Liu, Ting, Zhou, "Isolation Forest", ICDM 2008.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from aiops.errors import ArtifactError, ModelError
from aiops.types import FloatArray, State
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES
from models.artifacts.artifact import array_names, names_array, state_array
from models.detectors.forest_kernels import (
    COLUMN,
    LARGEST,
    LEFT,
    THRESHOLD,
    FlatForest,
    filled_codes,
    mean_search_depth,
    ordered_code,
    path_contributions,
    path_lengths,
)
from models.vectors.service_rows import CALENDAR

TAIL_POWER: Final = 0.25
KNOTS: Final = 512
OUTSIDE_CALENDAR: Final = tuple(name for name in SERVICE_FEATURES if name not in CALENDAR)


@dataclass(frozen=True, slots=True)
class ForestConfig:
    """Trees, rows a tree, seed, and the columns used; calendar columns are left out: a rare hour is no anomaly."""

    trees: int = 200
    rows_per_tree: int = 256
    seed: int = 7
    features: tuple[str, ...] = OUTSIDE_CALENDAR


@dataclass(frozen=True, slots=True)
class TailMap:
    """Monotone map of raw scores to 0..1 by the training rows' upper tail: 1 - tail ** (1/4).

    `tail` = share of training rows at least as strange, so 0.5 = one in 16, 0.9 = one in 10,000; beyond the strangest
    training row the logarithm of the tail goes on in a straight line. (k,) ascending knots.
    """

    raw: FloatArray
    log_tail: FloatArray

    @classmethod
    def fit(cls, raw: FloatArray) -> "TailMap":
        """Return the map of the training rows' raw scores (n,), n >= 1."""
        ordered = np.sort(raw)
        ranks = np.unique(np.geomspace(1, ordered.size, KNOTS).astype(np.int64))
        values, first = np.unique(ordered[ordered.size - ranks][::-1], return_index=True)
        tails = (ranks[::-1] / ordered.size)[first]
        return cls(values, np.log(tails))

    def __call__(self, raw: FloatArray) -> FloatArray:
        """Return scores in 0..1; NaN stays NaN."""
        log_tail = np.interp(raw, self.raw, self.log_tail)
        beyond = raw - self.raw[-1]
        log_tail = np.where(beyond > 0, self.log_tail[-1] + beyond * self._slope(), log_tail)
        below = np.minimum(log_tail, 0.0)
        return np.asarray(1.0 - np.exp(TAIL_POWER * below))

    def _slope(self) -> float:
        """Return the slope of the log tail over its last two decades, never flatter than one decade a 0.1 of raw score."""
        flattest = -float(np.log(10)) / 0.1
        upper = np.flatnonzero(self.log_tail <= self.log_tail[-1] + np.log(100))
        rise = self.raw[-1] - self.raw[upper[0]]
        return min(float(self.log_tail[-1] - self.log_tail[upper[0]]) / rise, flattest) if rise > 0 else flattest


@dataclass(frozen=True, slots=True)
class IsolationForest:
    """A fitted forest; output "score" in 0..1, higher = stranger. Unknown inputs are read as the training median."""

    catalog_name: ClassVar[str] = "isolation-forest"

    features: tuple[str, ...]
    forest: FlatForest
    medians: FloatArray
    normal_path: float
    tail: TailMap
    thresholds: FloatArray

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return ("score",)."""
        return ("score",)

    @classmethod
    def fit(cls, rows: FloatArray, config: ForestConfig) -> "IsolationForest":
        """Return the forest of training rows (n, len(config.features)); its threshold is that of one row in 1,000.

        Rows without any known value are left out. Deterministic by `config.seed`.

        Raises:
            ModelError: fewer than two rows have a known value, or the columns do not match the features.
        """
        from sklearn.ensemble import IsolationForest as SklearnForest

        from models.detectors.forest_kernels import flatten

        if rows.ndim != 2 or rows.shape[1] != len(config.features):
            raise ModelError(f"training rows have shape {rows.shape}; expected (n, {len(config.features)}), a column a feature")
        known = rows[np.isfinite(rows).any(axis=1)]
        if len(known) < 2:
            raise ModelError(
                f"{len(known)} of {len(rows)} training rows have a known value; an isolation forest needs at least 2"
            )
        medians = _column_medians(known)
        filled = _filled(known, medians)
        sample = min(config.rows_per_tree, len(known))
        trees = SklearnForest(n_estimators=config.trees, max_samples=sample, random_state=config.seed, n_jobs=1).fit(filled)
        forest = flatten(trees)
        normal = float(mean_search_depth(np.array([float(sample)]))[0]) or 1.0
        tail = TailMap.fit(np.exp2(-path_lengths(ordered_code(filled), forest) / normal))
        threshold = np.array([1.0 - 0.001**TAIL_POWER])
        return cls(config.features, forest, medians, normal, tail, threshold)

    def with_thresholds(self, thresholds: FloatArray) -> "IsolationForest":
        """Return the same forest with other thresholds (1,)."""
        return IsolationForest(self.features, self.forest, self.medians, self.normal_path, self.tail, thresholds)

    def raw_score(self, rows: FloatArray) -> FloatArray:
        """Return (n,) the paper's anomaly score 2 ** (-mean path / c), sklearn's `-score_samples`; NaN = nothing known."""
        codes, known = filled_codes(np.ascontiguousarray(rows), self.medians)
        raw = np.exp2(-path_lengths(codes, self.forest) / self.normal_path)
        return np.where(known, raw, np.nan)

    def score(self, rows: FloatArray) -> FloatArray:
        """Return (n, 1) in 0..1; rows (n, len(features)), NaN or infinite = unknown; a row with nothing known gives NaN."""
        return self.tail(self.raw_score(rows)).reshape(-1, 1)

    def explain(self, rows: FloatArray) -> FloatArray:
        """Return (n, len(features)) contributions to log2 of the raw score; positive = stranger.

        A feature's contribution is by how much its splits shortened the paths, in units of the normal path length. A row's
        contributions add up to log2(raw score) - `base()`; rows with nothing known give NaN.
        """
        codes, known = filled_codes(np.ascontiguousarray(rows), self.medians)
        given = -path_contributions(codes, self.forest) / self.normal_path
        given[~known] = np.nan
        return given

    def base(self) -> float:
        """Return log2 of the raw score of a path of the roots' expected length."""
        return float(-self.forest.path[self.forest.roots].mean() / self.normal_path)

    def state(self) -> State:
        """Return the arrays of the trees, the medians, the tail map, the thresholds and the feature names."""
        return {
            **{f"forest_{name}": array for name, array in self.forest._asdict().items()},
            "features": names_array(self.features),
            "medians": self.medians,
            "normal_path": np.array([self.normal_path]),
            "tail_raw": self.tail.raw,
            "tail_log": self.tail.log_tail,
            "thresholds": self.thresholds,
        }

    @classmethod
    def from_state(cls, state: State) -> "IsolationForest":
        """Return the forest of a state.

        Raises:
            ArtifactError: an array is missing, or a node points outside the trees (the kernels check nothing).
        """
        features = array_names(state_array(state, "features"))
        forest = FlatForest(
            state_array(state, "forest_nodes").astype(np.int32),
            state_array(state, "forest_path").astype(np.float64),
            state_array(state, "forest_roots").astype(np.int32),
            state_array(state, "forest_depths").astype(np.int32),
        )
        medians = state_array(state, "medians").astype(np.float64)
        _check_bounds(forest, medians, features)
        tail = TailMap(state_array(state, "tail_raw"), state_array(state, "tail_log"))
        normal = float(state_array(state, "normal_path")[0])
        return cls(features, forest, medians, normal, tail, state_array(state, "thresholds"))


def _column_medians(rows: FloatArray) -> FloatArray:
    medians = np.zeros(rows.shape[1])
    for column in range(rows.shape[1]):
        values = rows[np.isfinite(rows[:, column]), column]
        medians[column] = np.median(values) if values.size else 0.0
    return medians


def _filled(rows: FloatArray, medians: FloatArray) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """Return the rows as float32 with unknown values replaced by the medians."""
    filled = np.where(np.isfinite(rows), rows, medians)
    return np.ascontiguousarray(np.clip(filled, -LARGEST, LARGEST), dtype=np.float32)


def _check_bounds(forest: FlatForest, medians: FloatArray, features: tuple[str, ...]) -> None:
    nodes, size = forest.nodes, len(forest.nodes)
    shaped = nodes.ndim == 2 and nodes.shape[1] == 4 and size == forest.path.size and medians.size == len(features)
    inside = shaped and 0 < forest.roots.size == forest.depths.size and _points_inside(forest, len(features))
    if not inside:
        raise ArtifactError("the forest's arrays do not fit together (a node or column points outside); save the model again")


def _points_inside(forest: FlatForest, columns: int) -> bool:
    column, threshold, left = (forest.nodes[:, part] for part in (COLUMN, THRESHOLD, LEFT))
    size = len(forest.nodes)
    leaf = left == np.arange(size)
    return (
        bool(((column >= 0) & (column < columns)).all())
        and bool(((left >= 0) & (left + ~leaf < size)).all())
        and bool(((forest.roots >= 0) & (forest.roots < size)).all())
        and bool((threshold[leaf] == ordered_code(np.array([np.inf], dtype=np.float32))[0]).all())
    )
