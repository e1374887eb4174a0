"""Breach forecasting: P(a calm series exceeds its limit within the next rows), one model for all series, learnt by rehearsal.

A limit learnt from a history is exceeded exactly as often in that history as the quantile says, and oftener or never later on.
So nothing is learnt from the rows that a limit was taken from: the history of every series is cut at several places, limits
at several quantiles are taken from the part before the cut, and the trees learn from what happened after it, as they will have to
forecast. Where the history never reached the limit there is nothing to count; then the probability is that of a walk with the
series' drift and spread, calibrated on rehearsals with limits above all that was seen.

Source: Chen, Guestrin, "XGBoost", KDD 2016; contributions: Lundberg, Erion, Lee, 2018 (TreeSHAP).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from aiops.errors import TrainingImpossible
from aiops.types import FloatArray
from models.breach.breach_features import NAMES, WARM_UP, Reference, breach_features, reference_of
from models.breach.breach_kernels import breaches_of, labels_of
from models.vectors.calibration import Platt, fit_platt

Float32s = npt.NDArray[np.float32]

RISING: Final = (
    "passage",
    "hazard",
    "own_rate",
    "recent_rate_150",
    "recent_rate_600",
    "recent_rate_2000",
    "day_rate",
    "week_rate",
)
"""More of these never lowers the risk: they are estimates of it."""
PASSAGE: Final = NAMES.index("passage")


@dataclass(frozen=True, slots=True, eq=False)
class SeriesHistory:
    """One series: values (n,) and times (n,) in seconds since 1970, UTC, in order of arrival."""

    value: FloatArray
    time_s: FloatArray


@dataclass(frozen=True, slots=True)
class ForecastConfig:
    """Rows forecast, quantile of a learnt limit, where histories are cut and which limits are rehearsed, and boosting.

    The rows rehearsed after a cut are two thirds as many as before it. `min_child_weight` counts for a rehearsed limit.
    """

    horizon: int = 12
    quantile: float = 0.98
    cuts: tuple[float, ...] = (0.3, 0.45, 0.6, 0.8)
    quantiles: tuple[float, ...] = (0.95, 0.97, 0.98, 0.99)
    beyond: tuple[float, ...] = (0.0, 0.25)
    rounds: int = 100
    depth: int = 3
    learning_rate: float = 0.05
    min_child_weight: float = 30.0
    seed: int = 7


@dataclass(frozen=True, slots=True, eq=False)
class BreachForecast:
    """A fitted forecast; probabilities are of a breach that starts within `horizon` rows after a row."""

    horizon: int
    booster: xgb.Booster
    walk: Platt

    @classmethod
    def fit(cls, histories: Sequence[SeriesHistory], config: ForecastConfig) -> "BreachForecast":
        """Return the forecast learnt from these histories alone; deterministic by `config.seed`, one thread.

        Histories that are too short to be rehearsed are left out. Memory: rows x cuts x quantiles x len(NAMES) float32.

        Raises:
            TrainingImpossible: no rehearsed row was followed by a breach, or all were.
            ModelError: a value is not finite.
        """
        rehearsed = [part for history in histories for part in _rehearse(history, config)]
        rows = np.concatenate([part[0] for part in rehearsed]) if rehearsed else np.empty((0, len(NAMES)), np.float32)
        label = np.concatenate([part[1] for part in rehearsed]) if rehearsed else np.empty(0)
        positive = int(label.sum())
        if not 0 < positive < len(label):
            raise TrainingImpossible(
                f"forecasting needs breaches and calm rows after the cuts of the histories; {positive} of {len(label)} rows were "
                f"followed by one: give longer histories or more series (at least {2 * WARM_UP} rows each)"
            )
        return cls(config.horizon, _boost(rows, label, config), _walk(histories, config))

    def score(self, history: SeriesHistory, reference: Reference) -> FloatArray:
        """Return (n,) probabilities at each row, from rows up to it only; NaN in the first WARM_UP rows.

        A row at which the series is above its limit gets the probability that it breaches anew. Raises ModelError.
        """
        return self.score_rows(breach_features(history.value, history.time_s, reference, self.horizon), reference)

    def score_rows(self, rows: FloatArray, reference: Reference) -> FloatArray:
        """Return (n,) probabilities for the features of all rows of one series from its beginning."""
        if not len(rows):
            return np.empty(0)
        if reference.reached:
            share = self.booster.inplace_predict(rows.astype(np.float32)).astype(np.float64)
        else:
            share = self.walk(rows[:, PASSAGE])
        share[:WARM_UP] = np.nan
        return share

    def explain(self, rows: FloatArray) -> FloatArray:
        """Return (n, len(NAMES)) contributions of the trees to the log odds; positive = more likely. Exact TreeSHAP."""
        shares = self.booster.predict(xgb.DMatrix(rows.astype(np.float32), nthread=1), pred_contribs=True)
        return np.asarray(shares[:, :-1], dtype=np.float64)


def learned_limit(history: FloatArray, quantile: float) -> float:
    """Return the limit learnt from a history (n,): its quantile.

    >>> learned_limit(np.arange(101.0), 0.98)
    98.0
    """
    return float(np.quantile(history, quantile))


class _RehearsedRows(NamedTuple):
    """Rows [begin, end) of a history that are forecast from what lies before `begin`."""

    begin: int
    end: int


def _rehearse(history: SeriesHistory, config: ForecastConfig) -> Iterator[tuple[Float32s, FloatArray]]:
    """Yield (features float32, labels) of the calm rows after each cut, for limits taken from before it."""
    for rehearsed in _cuts(history, config):
        for quantile in config.quantiles:
            limit = learned_limit(history.value[: rehearsed.begin], quantile)
            yield _rows_after(history, rehearsed, limit, config.horizon)


def _cuts(history: SeriesHistory, config: ForecastConfig) -> Iterator[_RehearsedRows]:
    rows = len(history.value)
    for cut in config.cuts:
        before = int(cut * rows)
        until = min(rows, int(before / 0.6)) - config.horizon
        if before >= WARM_UP and until > before:
            yield _RehearsedRows(before, until)


def _rows_after(history: SeriesHistory, rehearsed: _RehearsedRows, limit: float, horizon: int) -> tuple[Float32s, FloatArray]:
    before, until = rehearsed.begin, rehearsed.end
    value, time_s = history.value[: until + horizon], history.time_s[: until + horizon]
    features = breach_features(value, time_s, reference_of(value[:before], limit, horizon), horizon)
    calm, start = breaches_of(value > limit, horizon)
    chosen = before + np.flatnonzero(calm[before:until])
    return features[chosen].astype(np.float32), labels_of(start, horizon)[chosen]


def _walk(histories: Sequence[SeriesHistory], config: ForecastConfig) -> Platt:
    """Return the calibration of the passage probability where the limit was never reached; none if it never was afterwards."""
    odds, labels = [np.empty(0)], [np.empty(0)]
    for history in histories:
        for rehearsed in _cuts(history, config):
            seen = history.value[: rehearsed.begin]
            top = float(seen.max())
            for share in config.beyond:
                limit = top + share * (top - float(np.median(seen)))
                rows, label = _rows_after(history, rehearsed, limit, config.horizon)
                odds.append(rows[:, PASSAGE].astype(np.float64))
                labels.append(label)
    try:
        return fit_platt(np.concatenate(odds), np.concatenate(labels))
    except TrainingImpossible:
        return Platt(1.0, 0.0)


def _boost(rows: Float32s, label: FloatArray, config: ForecastConfig) -> xgb.Booster:
    parameters = {
        "objective": "binary:logistic",
        "max_depth": config.depth,
        "eta": config.learning_rate,
        "min_child_weight": config.min_child_weight * len(config.quantiles),
        "subsample": 0.5,
        "colsample_bytree": 0.4,
        "lambda": 5.0,
        "base_score": float(label.mean()),
        "monotone_constraints": tuple(int(name in RISING) for name in NAMES),
        "seed": config.seed,
        "nthread": 1,
        "tree_method": "hist",
    }
    booster = xgb.train(parameters, xgb.QuantileDMatrix(rows, label=label, nthread=1), num_boost_round=config.rounds)
    booster.set_param({"nthread": 1})
    return booster
