"""One anomaly score a row for each unit (a service, machine or server) from all its metrics, whatever they are called.

A fitted unit remembers the end of its training part, so that scoring can begin right behind it with all windows full.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from aiops.errors import ArtifactError, TrainingImpossible
from aiops.types import FloatArray, SeriesBatch, State
from models.artifacts.artifact import array_names, names_array, state_array
from models.detectors.robust_stream import FEATURES
from models.detectors.unit_kernels import KINDS
from models.detectors.unit_normal import UnitConfig, UnitMemory, UnitNormal
from models.detectors.unit_rows import unit_grids
from models.detectors.unit_stream import RememberedUnit, UnitStream
from models.detectors.unit_tails import KNOTS, Tails

ALARM: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class FittedUnit:
    """One unit: its series ("service|metric", ascending), what is normal, and the end of its training part."""

    series: tuple[str, ...]
    normal: UnitNormal
    remembered: RememberedUnit


@dataclass(frozen=True, slots=True, eq=False)
class UnitSurprise:
    """Fitted units by name; immutable. Memory: 6 kB a metric, and 8 B for each of its rows in the last week."""

    catalog_name: ClassVar[str] = "unit-surprise"

    units: Mapping[str, FittedUnit]
    config: UnitConfig = field(default_factory=UnitConfig)

    @classmethod
    def fit(cls, history: SeriesBatch, config: UnitConfig | None = None) -> "UnitSurprise":
        """Return what is normal for every unit in the history; units without enough of it are left out: they stay unknown.

        Raises:
            TrainingImpossible: no unit has enough known rows.
        """
        config = config or UnitConfig()
        units = {}
        reason = "it is empty"
        for name, grid in unit_grids(history, config.step_s, config.windows).items():
            try:
                normal = UnitNormal.fit(grid.values, config)
            except TrainingImpossible as error:
                reason = str(error)
                continue
            kept = grid.values[-config.windows.kept :]
            memory = UnitMemory(normal.standardised(kept), 0.0)
            units[name] = FittedUnit(grid.series, normal, RememberedUnit(grid.next_step, memory))
        if not units:
            raise TrainingImpossible(f"history: no unit can be fitted: {reason}")
        return cls(units, config)

    @property
    def features(self) -> tuple[str, ...]:
        """Return the columns of a point."""
        return FEATURES

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return ("score",)."""
        return ("score",)

    @property
    def thresholds(self) -> FloatArray:
        """Return (1,): one kind of evidence at its alarm level scores 0.5, in every unit."""
        return np.array([ALARM])

    @property
    def lookback(self) -> int:
        """Return the rows of a unit before a score is valid where nothing came before: half an hour."""
        return self.config.windows.hour // 2

    def score(self, batch: SeriesBatch) -> FloatArray:
        """Return (n,) of points: the score 1 - 2**-evidence of their unit at their time, from all its metrics up to then.

        Points of a unit in order of time; NaN = unknown: warm-up, a series not fitted, a point behind a later one, or the
        first that is more than an hour ahead of the newest. It moves no clock: the next time within an hour of it does.
        """
        return self.stream().score(batch)

    def stream(self, state: State | None = None) -> UnitStream:
        """Return scores batch by batch, from the end of the training part or from a snapshot; cut between two times.

        Raises:
            StateError: the snapshot is damaged or of another model.
        """
        return UnitStream({name: (unit.series, unit.normal, unit.remembered) for name, unit in self.units.items()}, state)

    def state(self) -> State:
        """Return names, levels, tails and the end of the training part of every unit."""
        state: dict[str, npt.NDArray[Any]] = {"units": names_array(tuple(self.units)), "config": self.config.numbers()}
        for number, unit in enumerate(self.units.values()):
            state |= {
                f"{number}_series": names_array(unit.series),
                f"{number}_levels": np.stack([unit.normal.centre, unit.normal.span]),
                f"{number}_knots": unit.normal.tails.knots,
                f"{number}_joins": unit.normal.tails.joins,
                f"{number}_rows": unit.remembered.memory.z,
                f"{number}_next_step": np.array([unit.remembered.next_step], dtype=np.int64),
            }
        return state

    @classmethod
    def from_state(cls, state: State) -> "UnitSurprise":
        """Return the model of a state.

        Raises:
            ArtifactError: an array is missing, or they do not fit together.
        """
        numbers = state_array(state, "config").astype(np.float64)
        if numbers.shape != (8,):
            raise ArtifactError(f"config {numbers.shape} has not 8 numbers; save the model again")
        config = UnitConfig.of_numbers(numbers)
        names = array_names(state_array(state, "units"))
        return cls({name: _unit_of(state, str(number), config) for number, name in enumerate(names)}, config)


def _unit_of(state: State, number: str, config: UnitConfig) -> FittedUnit:
    series = array_names(state_array(state, f"{number}_series"))
    levels, knots, joins, rows = (
        state_array(state, f"{number}_{part}").astype(np.float64) for part in ("levels", "knots", "joins", "rows")
    )
    step = state_array(state, f"{number}_next_step").astype(np.int64)
    metrics = len(series)
    shapes = (levels.shape, knots.shape, joins.shape, rows.shape[:1], step.shape)
    if shapes != ((2, metrics), (metrics, KINDS, 2, KNOTS), (metrics, KINDS, 2, 3), (metrics,), (1,)):
        raise ArtifactError(f"unit {number}: arrays {shapes} do not fit {metrics} series; save the model again")
    normal = UnitNormal(levels[0], levels[1], Tails(knots, joins), config)
    return FittedUnit(series, normal, RememberedUnit(int(step[0]), UnitMemory(rows, 0.0)))
