"""Deterministic models for tests of serving: a linear score that any test can compute by hand, as object and as folder."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from aiops.errors import ArtifactError
from aiops.types import FloatArray, State
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES, SERVICE_FEATURES_TABLE
from serving.scoring.slots.model_source import ServedModel, served_model

OUTPUTS = {"service-ensemble": ("score",), "incident-predictor": ("p_5min", "p_15min", "p_60min")}


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Every output is the logistic of `weight` times the sum of the known features; rows without any give NaN."""

    outputs: tuple[str, ...]
    weight: float
    limit: float = 0.5
    features: tuple[str, ...] = SERVICE_FEATURES

    @property
    def thresholds(self) -> FloatArray:
        return np.full(len(self.outputs), self.limit)

    def score(self, rows: FloatArray) -> FloatArray:
        known = ~np.isnan(rows).all(axis=1)
        total = self.weight * np.nansum(rows, axis=1)
        total[~known] = np.nan
        steps = np.arange(len(self.outputs))
        return np.asarray(1.0 / (1.0 + np.exp(-(total[:, np.newaxis] + steps))), dtype=np.float64)

    def explain(self, rows: FloatArray) -> FloatArray:
        shares = self.weight * np.nan_to_num(rows)
        shares[np.isnan(rows).all(axis=1)] = np.nan
        return np.asarray(shares, dtype=np.float64)

    def base(self) -> float:
        return float(len(self.outputs) - 1)

    def state(self) -> State:
        return {"weight": np.array([self.weight])}


def linear(name: str, version: str, weight: float, limit: float = 0.5) -> ServedModel:
    """Return a served linear model whose example is right."""
    model = LinearModel(OUTPUTS[name], weight, limit)
    rows = np.linspace(-1.0, 1.0, 2 * len(SERVICE_FEATURES)).reshape(2, -1)
    return served_model(model, version, rows, model.score(rows))


def write_linear(root: Path, name: str, version: str, weight: float, example_shift: float = 0.0) -> None:
    """Write a version; `example_shift` != 0 makes its example wrong."""
    folder = root / name / version
    folder.mkdir(parents=True)
    (folder / "linear.json").write_text(json.dumps({"name": name, "weight": weight, "shift": example_shift}))


def point_alias(root: Path, name: str, aliases: dict[str, str]) -> None:
    """Let aliases name versions, atomically."""
    partial = root / name / "aliases.part"
    partial.write_text(json.dumps(aliases))
    partial.replace(root / name / "aliases.json")


def load_linear(folder: Path, version: str) -> ServedModel:
    """Load what `write_linear` wrote."""
    path = folder / "linear.json"
    try:
        raw = json.loads(path.read_text())
    except ValueError as error:
        raise ArtifactError(f"{path}: not JSON") from error
    served = linear(raw["name"], version, raw["weight"])
    return ServedModel(served.model, version, served.example_rows, served.example_scores + raw["shift"], served.base_value)


def online_row(service: str, tick: datetime, value: float) -> pa.RecordBatch:
    """Return one row of service features, all of them `value` but the last, which is unknown."""
    columns = {name: [value] for name in SERVICE_FEATURES} | {SERVICE_FEATURES[-1]: [None]}
    row = {"event_timestamp": [tick], "available_at": [tick], "service": [service], **columns}
    return pa.RecordBatch.from_pydict(row, schema=SERVICE_FEATURES_TABLE)
