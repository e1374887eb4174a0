"""What is normal for one unit, a service or machine with many metrics, and what speaks against it row by row.

Three kinds of evidence, each in nats and each with its alarm level: few metrics that are very far out for a moment, many that are
somewhat out together, and deviations that last. Nothing depends on what a metric is called or on how many there are.
"""

from dataclasses import astuple, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from aiops.errors import ConfigurationError, TrainingImpossible
from aiops.types import FloatArray
from models.detectors.unit_kernels import (
    CHANGE,
    DAY,
    LEVEL,
    OUTSIDE,
    ROUGH,
    ROUGH_LONG,
    UnitWindows,
    deviations,
    lasting,
    sparse_and_dense,
    surprises,
)
from models.detectors.unit_tails import LEAST_ROWS, Tails

_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_LEAST_HOUR_ROWS: Final = 12
_LEAST_SHORT_ROWS: Final = 3
_SPARSE: Final = [CHANGE, OUTSIDE]
_DENSE: Final = [CHANGE, DAY, OUTSIDE, ROUGH, ROUGH_LONG]
_LASTING: Final = [OUTSIDE, ROUGH_LONG, LEVEL, ROUGH]
_LARGEST_Z: Final = 1e6
_LARGEST_VALUE: Final = 1e150
_PIECE_ROWS: Final = 8192


@dataclass(frozen=True, slots=True)
class UnitConfig:
    """Windows and alarm levels; fitted on three public sets of units together, see docs/figures.md.

    `step_s`: seconds a row. `days`: past days that a time of the day is compared with, at least `least_days` of them known.
    `top`: metrics whose mean is the evidence of few. `half_rows`: rows after which evidence that lasts has half its weight.
    `sparse_nats`, `dense_nats`, `lasting_nats`: evidence of each kind that is an alarm.

    Raises:
        ConfigurationError: a field is out of range.
    """

    step_s: int = 60
    days: int = 7
    least_days: int = 1
    top: int = 3
    half_rows: int = 24
    sparse_nats: float = 7.0
    dense_nats: float = 3.2
    lasting_nats: float = 5.0

    def __post_init__(self) -> None:
        """Check every field."""
        if not 1 <= self.step_s <= _DAY_S:
            raise ConfigurationError(f"step_s is {self.step_s}; it must be in 1..{_DAY_S}")
        if not 1 <= self.least_days <= self.days <= 31 or self.top < 1 or self.half_rows < 1:
            raise ConfigurationError(f"{self}: days must be in least_days..31, top, least_days and half_rows 1 or more")
        if min(self.sparse_nats, self.dense_nats, self.lasting_nats) <= 0.0:
            raise ConfigurationError(f"{self}: alarm levels must be positive")

    @property
    def windows(self) -> UnitWindows:
        """Return the windows in rows: an hour, half of it and two hours, but never fewer than 12, 3 and 24 rows."""
        hour = max(_LEAST_HOUR_ROWS, _HOUR_S // self.step_s)
        day = max(1, _DAY_S // self.step_s)
        return UnitWindows(hour, day, max(_LEAST_SHORT_ROWS, hour // 2), 2 * hour, self.days, self.least_days)

    def numbers(self) -> FloatArray:
        """Return all fields (8,)."""
        return np.array(astuple(self), dtype=np.float64)

    @classmethod
    def of_numbers(cls, numbers: FloatArray) -> "UnitConfig":
        """Return the configuration of `numbers()`."""
        whole = [int(number) for number in numbers[:5]]
        return cls(*whole, *(float(number) for number in numbers[5:]))


@dataclass(frozen=True, slots=True, eq=False)
class UnitMemory:
    """What goes on from row to row: the newest rows (metrics, <= kept) of standardised values, and the lasting evidence."""

    z: FloatArray
    lasting: float


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """(rows,) each: evidence in units of its alarm level, and their largest; NaN = unknown."""

    sparse: FloatArray
    dense: FloatArray
    lasting: FloatArray
    strongest: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class UnitNormal:
    """Fitted to one unit; immutable. Memory: 6 kB a metric. `centre` and `span` (metrics,), NaN = never measured."""

    centre: FloatArray
    span: FloatArray
    tails: Tails
    config: UnitConfig

    @classmethod
    def fit(cls, values: FloatArray, config: UnitConfig) -> "UnitNormal":
        """Return what is normal in a training part (rows, metrics); it may hold some anomalies, NaN = not measured.

        Raises:
            TrainingImpossible: no metric has `LEAST_ROWS` known rows.
        """
        known = np.where(np.isfinite(values), np.clip(values, -_LARGEST_VALUE, _LARGEST_VALUE), np.nan)
        enough = np.isfinite(known).sum(axis=0) >= LEAST_ROWS
        if not enough.any():
            raise TrainingImpossible(
                f"history: none of {len(enough)} metrics has {LEAST_ROWS} known rows; give a longer training part"
            )
        centre, span = np.full(len(enough), np.nan), np.full(len(enough), np.nan)
        for metric in np.flatnonzero(enough).tolist():
            centre[metric], span[metric] = _centre_and_span(known[:, metric])
        blank = cls(centre, span, Tails(np.empty(0), np.empty(0)), config)
        return cls(centre, span, Tails.fit(deviations(blank.standardised(values), 0, config.windows)), config)

    def standardised(self, values: FloatArray) -> FloatArray:
        """Return (metrics, rows) of values (rows, metrics) in units of the training part's span; NaN = unknown."""
        known = np.where(np.isfinite(values), np.clip(values, -_LARGEST_VALUE, _LARGEST_VALUE), np.nan)
        with np.errstate(over="ignore"):
            z = np.clip((known - self.centre) / self.span, -_LARGEST_Z, _LARGEST_Z)
        return np.ascontiguousarray(z.T)

    def nothing(self) -> UnitMemory:
        """Return the memory before the first row."""
        return UnitMemory(np.empty((len(self.centre), 0)), 0.0)

    def judge(self, values: FloatArray, memory: UnitMemory) -> tuple[Evidence, UnitMemory]:
        """Return the evidence of rows (rows, metrics) that follow those of `memory`, and what is remembered after them.

        In pieces or whole: the same. A row is unknown before any metric was known for half an hour.
        """
        pieces, kept = [], self.config.windows.kept
        for begin in range(0, len(values), _PIECE_ROWS):
            fresh = self.standardised(values[begin : begin + _PIECE_ROWS])
            z = np.concatenate([memory.z, fresh], axis=1)
            evidence = self._evidence(z, memory)
            pieces.append(evidence)
            memory = UnitMemory(z[:, max(0, z.shape[1] - kept) :].copy(), float(evidence[2, -1]))
        levels = np.array([[self.config.sparse_nats], [self.config.dense_nats], [self.config.lasting_nats]])
        sparse, dense, lasts = (np.concatenate(pieces, axis=1) if pieces else np.empty((3, 0))) / levels
        strongest = np.fmax(np.fmax(sparse, dense), np.where(np.isnan(dense), np.nan, lasts))
        return Evidence(sparse, dense, lasts, strongest), memory

    def _evidence(self, z: FloatArray, memory: UnitMemory) -> FloatArray:
        """Return (3, rows) sparse, dense and lasting evidence in nats of the rows behind those remembered."""
        config = self.config
        deviation = deviations(z, memory.z.shape[1], config.windows)
        few, many = sparse_and_dense(surprises(deviation, self.tails.knots, self.tails.joins), config.top)
        warm = ~np.isnan(few[CHANGE])
        lasts = lasting(_mean_known(few[_LASTING], warm), memory.lasting, 1.0 - 0.5 ** (1.0 / config.half_rows))
        return np.stack([_mean_known(few[_SPARSE], warm), _mean_known(many[_DENSE], warm), lasts])


def _mean_known(evidence: FloatArray, warm: npt.NDArray[np.bool_]) -> FloatArray:
    """Return (rows,) the mean over what is known of (kinds, rows); NaN where nothing is, or the row is not warm."""
    known = ~np.isnan(evidence)
    count = known.sum(axis=0)
    total = np.where(known, evidence, 0.0).sum(axis=0)
    return np.where(warm & (count > 0), total / np.maximum(count, 1), np.nan)


def _centre_and_span(values: FloatArray) -> tuple[float, float]:
    """Return the median and the width between the 1 % and 99 % quantiles of what is known, or half the standard deviation."""
    known = values[np.isfinite(values)]
    size = float(np.abs(known).max()) or 1.0
    low, centre, high = np.quantile(known / size, (0.01, 0.5, 0.99)).tolist()
    span = max(high - low, 0.5 * float((known / size).std()))
    if span < 1e-9:
        span = max(1e-3 * abs(centre), 1e-6 / size)
    return centre * size, span * size
