"""Detectors that can be back-tested: how each is fitted to the history of a source."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import pyarrow as pa

from aiops.errors import ConfigurationError
from aiops.features.engine import EngineConfig
from aiops.ports import Detector
from aiops.types import SeriesBatch
from models.artifacts.catalog import CATALOG, ModelDescriptor, descriptor_of, model_class


@dataclass(frozen=True, slots=True)
class FitData:
    """History points of normal time as `schemas.SERIES`, in order of arrival, and the length of a tick in them."""

    history: SeriesBatch
    step_s: int


def fit_detector(name: str, data: FitData) -> tuple[Detector, float]:
    """Return a detector of the catalog fitted to a history, and its alarm threshold.

    Raises:
        ConfigurationError: it cannot be back-tested.
        TrainingImpossible: the history is too short for it.
    """
    if name not in names():
        raise ConfigurationError(f"--detector {name}: cannot be back-tested; choose one of {', '.join(names())}")
    descriptor = descriptor_of(name)
    detector: Detector = descriptor.part("backtest")(descriptor, data)
    return detector, float(getattr(detector, "thresholds", (0.5,))[0])


def names() -> tuple[str, ...]:
    """Return the detectors of points that this version has."""
    return tuple(name for name, descriptor in CATALOG.items() if descriptor.backtest)


def robust_stream(_: ModelDescriptor, data: FitData) -> Detector:
    """Return tier 1 with alarm levels of the history."""
    from models.training.detector_training import train_robust_stream
    from models.training.training_context import TrainingContext

    engine = EngineConfig(step_s=data.step_s, lateness_s=min(30, data.step_s))
    history = pa.Table.from_batches([data.history.table])
    return train_robust_stream(history, None, TrainingContext("backtest"), engine).model


def system_deviation(_: ModelDescriptor, data: FitData) -> Detector:
    """Return the detector of the whole system, fitted to a minute grid of the history."""
    from models.detectors.minute_grid import grid_of
    from models.detectors.system_deviation import SystemDeviation

    return SystemDeviation.fit(grid_of([data.history], data.step_s))


def unit_surprise(_: ModelDescriptor, data: FitData) -> Detector:
    """Return the detector of services with all their metrics, each fitted to its own history."""
    from models.detectors.unit_normal import UnitConfig
    from models.detectors.unit_surprise import UnitSurprise

    return UnitSurprise.fit(data.history, UnitConfig(step_s=data.step_s))


def unfitted(descriptor: ModelDescriptor, _: FitData) -> Detector:
    """Return a detector that learns while it scores: there is nothing to fit."""
    return cast("Callable[[], Detector]", model_class(descriptor.name))()
