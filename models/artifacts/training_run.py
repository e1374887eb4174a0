"""What a training leaves behind beside the model: everything the registry records."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

import numpy as np

from models.artifacts.artifact import Example
from models.artifacts.catalog import FittedModel
from models.vectors.service_rows import ServiceRows

Model = TypeVar("Model", bound=FittedModel)


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """Which rows the model saw: `digest` = sha256 of their names, times and values."""

    name: str
    digest: str
    rows: int
    columns: tuple[str, ...]
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One training. `figures` maps file name (.svg, .png) to its bytes; `example` is the input example with its scores."""

    params: Mapping[str, str | int | float]
    metrics: Mapping[str, float]
    dataset: DatasetFacts
    example: Example | None = None
    figures: Mapping[str, bytes] = field(default_factory=dict)
    feature_service: str = ""
    git_commit: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trained(Generic[Model]):
    """A fitted model and its run. Rows from `holdout_start` on were seen neither by the fit nor by its thresholds."""

    model: Model
    run: TrainingRun
    holdout_start: datetime


def dataset_facts(name: str, rows: ServiceRows) -> DatasetFacts:
    """Return the facts of service rows; the digest changes with any value, time, name or order."""
    digest = hashlib.sha256("\n".join((*rows.services, "", *rows.columns)).encode())
    for array in (rows.code, rows.time_us, rows.values):
        digest.update(np.ascontiguousarray(array).tobytes())
    start, end = rows.span()
    return DatasetFacts(name, digest.hexdigest(), len(rows), rows.columns, start, end)
