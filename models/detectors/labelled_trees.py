"""Tier 3 where labels exist: boosted trees that tell rows of incidents from rows of normal time.

Source: Chen, Guestrin, "XGBoost: a scalable tree boosting system", KDD 2016.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import xgboost as xgb

from aiops.errors import ArtifactError, ModelError
from aiops.types import FloatArray, State
from models.artifacts.artifact import array_names, names_array, state_array
from models.detectors.isolation_forest import OUTSIDE_CALENDAR
from models.vectors.calibration import sigmoid
from models.vectors.service_rows import bounded

_BOOSTER: Final = "trees.ubj"


@dataclass(frozen=True, slots=True)
class LabelledConfig:
    """Boosting parameters, seed, and the columns used; calendar columns are left out: incidents keep no timetable."""

    rounds: int = 120
    depth: int = 4
    eta: float = 0.1
    min_child_weight: float = 8.0
    seed: int = 7
    features: tuple[str, ...] = OUTSIDE_CALENDAR


@dataclass(frozen=True, slots=True)
class LabelledTrees:
    """Fitted trees; output "score" in 0..1 by the trees' own log odds, which nobody has calibrated."""

    catalog_name: ClassVar[str] = "labelled-trees"

    features: tuple[str, ...]
    booster: xgb.Booster
    thresholds: FloatArray

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return ("score",)."""
        return ("score",)

    @classmethod
    def fit(
        cls, rows: FloatArray, label: FloatArray, config: LabelledConfig, weight: FloatArray | None = None
    ) -> "LabelledTrees":
        """Return trees fitted to rows (n, len(config.features)) and labels (n,) in {0, 1}; one thread, by `config.seed`.

        `weight` (n,) says how many rows each one counts as, None = one.

        Raises:
            ModelError: the shapes do not fit, or only one class is there.
        """
        if rows.shape != (label.size, len(config.features)):
            raise ModelError(f"rows {rows.shape} do not fit {label.size} labels and {len(config.features)} features")
        if not 0 < (label > 0).sum() < label.size:
            raise ModelError(f"{int((label > 0).sum())} of {label.size} rows are anomalous; labelled trees need both kinds")
        parameters = {
            "objective": "binary:logistic",
            "max_depth": config.depth,
            "eta": config.eta,
            "min_child_weight": config.min_child_weight,
            "subsample": 0.8,
            "colsample_bytree": 0.8,
            "tree_method": "hist",
            "max_bin": 64,
            "seed": config.seed,
            "nthread": 1,
        }
        booster = xgb.train(parameters, xgb.DMatrix(bounded(rows), label, weight=weight, nthread=1), config.rounds)
        return cls(config.features, _booster(bytes(booster.save_raw("ubj")), len(config.features)), np.array([0.5]))

    def raw_score(self, rows: FloatArray) -> FloatArray:
        """Return (n,) log odds; NaN = nothing known."""
        if not len(rows):
            return np.empty(0)
        margin = self.booster.inplace_predict(bounded(rows), predict_type="margin").astype(np.float64)
        return np.where(np.isfinite(rows).any(axis=1), margin, np.nan)

    def score(self, rows: FloatArray) -> FloatArray:
        """Return (n, 1) in 0..1; NaN or infinite inputs = unknown; a row with nothing known gives NaN."""
        return sigmoid(self.raw_score(rows)).reshape(-1, 1)

    def explain(self, rows: FloatArray) -> FloatArray:
        """Return (n, len(features)) TreeSHAP contributions to the log odds; NaN for rows with nothing known."""
        if not len(rows):
            return np.empty((0, len(self.features)))
        contributions = self.booster.predict(xgb.DMatrix(bounded(rows), nthread=1), pred_contribs=True)[:, :-1].astype(np.float64)
        contributions[~np.isfinite(rows).any(axis=1)] = np.nan
        return contributions

    def base(self) -> float:
        """Return the log odds that the contributions start from."""
        blank = xgb.DMatrix(np.full((1, len(self.features)), np.nan), nthread=1)
        return float(self.booster.predict(blank, pred_contribs=True)[0, -1])

    def state(self) -> State:
        """Return the trees as UBJ bytes, the threshold and the feature names."""
        return {
            _BOOSTER: np.frombuffer(bytes(self.booster.save_raw("ubj")), dtype=np.uint8),
            "thresholds": self.thresholds,
            "features": names_array(self.features),
        }

    @classmethod
    def from_state(cls, state: State) -> "LabelledTrees":
        """Return the model of a state.

        Raises:
            ArtifactError: an array is missing, the trees cannot be read, or they expect other columns.
        """
        features = array_names(state_array(state, "features"))
        booster = _booster(state_array(state, _BOOSTER).tobytes(), len(features))
        return cls(features, booster, state_array(state, "thresholds"))


def _booster(payload: bytes, columns: int) -> xgb.Booster:
    """Return trees from UBJ bytes, one thread: so fitted and loaded ones are the same.

    XGBoost's reader runs past the end of bytes that were cut off: the artifact's hash is checked before, the last brace here.
    """
    if payload[:1] != b"{" or payload[-1:] != b"}":
        raise ArtifactError("the labelled trees are no complete UBJ object; save the model again")
    booster = xgb.Booster(params={"nthread": 1})
    try:
        booster.load_model(bytearray(payload))
    except xgb.core.XGBoostError as error:
        raise ArtifactError("the labelled trees are no readable UBJ model; save the model again") from error
    booster.set_param({"nthread": 1})
    if booster.num_features() != columns:
        raise ArtifactError(f"the labelled trees expect {booster.num_features()} columns, the model has {columns} features")
    return booster
