"""State of the surprise detector for many series: rows in, scores out, batch by batch, with snapshot and restore."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from aiops.errors import ConfigurationError, StateError
from aiops.features.series_index import NameHashes
from aiops.features.series_points import SeriesPoints, points_of_batch
from aiops.types import FloatArray, IntArray, SeriesBatch, State
from models.detectors.series_slots import SeriesSlots
from models.detectors.surprise_kernels import (
    DETAILS,
    SurpriseParameters,
    SurpriseRows,
    empty_arrays,
    grown,
    stream_count,
)
from models.detectors.surprise_rows import by_slot, score_rows

_NO_ROWS: Final = np.empty(0, np.int64)
_NOT_ASKED: Final = np.empty((0, 3))
_VERSION: Final = 2
_CONSTANT_ALARM: Final = 1
"""Version of configurations of 0.2, whose alarm level did not grow with the rows."""
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class SurpriseConfig:
    """Streams and alarm level; times of the day need event times in UTC, everything else counts rows.

    `windows`: rows whose mean is compared with all earlier ones. `lags`: how far back similar stretches are searched (0 = not:
    about 4 times as fast and a twelfth of the memory; see `LIGHT`). `day_share`: least weight of a new value in the mean of
    its time of day. `alarm`: surprise (in nats, streams together) at which a row scores 0.5 while the series has at most
    `alarm_rows` rows; each further factor e of rows adds `alarm_growth` nats, for a longer history has stranger rows by chance
    (ADR 0050). After an alarm scores are halved for `refractory_rows` rows. `beyond`: nats for each half octave beyond the
    greatest deviation of the past.

    Raises:
        ConfigurationError: a field is out of range.
    """

    windows: tuple[int, ...] = (1, 8, 24, 72)
    lags: int = 2048
    lag_decay: float = 0.875
    nearest_lag: int = 8
    day_bins: int = 96
    day_share: float = 0.02
    warmup_rows: int = 32
    learn_rows: int = 10
    beyond: float = 0.7
    alarm: float = 7.3
    alarm_growth: float = 1.25
    alarm_rows: int = 1000
    refractory_rows: int = 30
    max_series: int = 10_000

    def __post_init__(self) -> None:
        """Check every field."""
        self._require("windows", bool(self.windows) and all(1 <= rows <= 4096 for rows in self.windows), "hold rows in 1..4096")
        self._require("lags", self.lags == 0 or 16 <= self.lags <= 65_536, "be 0 or in 16..65536")
        self._require("lag_decay", 0.0 < self.lag_decay < 1.0, "lie between 0 and 1")
        self._require("nearest_lag", 1 <= self.nearest_lag <= 16, "be in 1..16")
        self._require("day_bins", 1 <= self.day_bins <= 1440, "be in 1..1440")
        self._require("day_share", 0.0 < self.day_share <= 1.0, "lie above 0 and be at most 1")
        self._require("warmup_rows", self.warmup_rows >= 1, "be 1 or more")
        self._require("learn_rows", self.learn_rows >= 0, "not be negative")
        self._require("beyond", 0.0 <= self.beyond < 100.0, "be in 0..100")
        self._require("alarm", 0.0 < self.alarm < 1e6, "be positive")
        self._require("alarm_growth", 0.0 <= self.alarm_growth < 100.0, "be in 0..100")
        self._require("alarm_rows", self.alarm_rows >= 1, "be 1 or more")
        self._require("refractory_rows", self.refractory_rows >= 0, "not be negative")
        self._require("max_series", 1 <= self.max_series < 2**30, "be in 1..2**30")

    def parameters(self) -> SurpriseParameters:
        """Return the numbers that kernels read."""
        windows = np.array(self.windows, np.int64)
        return SurpriseParameters(
            windows,
            np.cumsum(windows) - windows,
            self.warmup_rows,
            self.learn_rows,
            self.day_bins,
            self.day_share,
            self.beyond,
            self.alarm,
            self.alarm_growth,
            self.alarm_rows,
            self.refractory_rows,
            self.lags,
            self.lag_decay,
            self.nearest_lag,
        )

    def numbers(self) -> FloatArray:
        """Return all fields as (14 + W,) floats; `of_numbers` reads them."""
        scalars = (
            self.lags,
            self.lag_decay,
            self.nearest_lag,
            self.day_bins,
            self.day_share,
            self.warmup_rows,
            self.learn_rows,
            self.beyond,
            self.alarm,
            self.refractory_rows,
            self.max_series,
            self.alarm_growth,
            self.alarm_rows,
        )
        return np.array([_VERSION, *scalars, *self.windows], np.float64)

    @classmethod
    def of_numbers(cls, numbers: FloatArray) -> "SurpriseConfig":
        """Return the configuration that `numbers` gave.

        Raises:
            StateError: they are of another version or too few.
        """
        version = int(numbers[0]) if numbers.ndim == 1 and numbers.size >= 13 and numbers[0] in (_CONSTANT_ALARM, _VERSION) else 0
        scalars = 11 if version == _CONSTANT_ALARM else 13
        if not version or numbers.size < 2 + scalars:
            raise StateError(f"surprise configuration {numbers.tolist()} is not of version {_VERSION}; save the model again")
        lags, decay, nearest, bins, share, warmup, learn, beyond, alarm, refractory, series = numbers[1:12].tolist()
        growth, rows = numbers[12:14].tolist() if version == _VERSION else (0.0, 1000)
        windows = tuple(int(width) for width in numbers[1 + scalars :])
        whole = (int(warmup), int(learn))
        level = (beyond, alarm, growth, int(rows), int(refractory), int(series))
        return cls(windows, int(lags), decay, int(nearest), int(bins), share, *whole, *level)

    def bytes_per_series(self) -> int:
        """Return the memory of one series, without its names."""
        return sum(array.nbytes for array in empty_arrays(self.parameters(), 1))

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise ConfigurationError(f"SurpriseConfig.{name}={getattr(self, name)}: must {rule}; correct it")


LIGHT: Final = SurpriseConfig(windows=(1, 24, 72), lags=0, alarm=7.0)
"""Without the search for similar stretches: one stream fewer adds surprise, so the alarm is lower."""


LIVE: Final = replace(LIGHT, alarm=10.0, alarm_growth=0.0, refractory_rows=100, warmup_rows=2880)
"""In the stream: a constant alarm level and the warm-up keep flags outside incidents to one a service and day (ADR 0020)."""


def live_config(max_series: int) -> SurpriseConfig:
    """Return the configuration of the stream for a partition of so many series."""
    return replace(LIVE, max_series=max_series)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm of a bank: the row, the most surprised stream, its surprise, and the rows it had judged before."""

    row: int
    stream: str
    nats: float
    past: int

    @property
    def text(self) -> str:
        """Return how rare, and what."""
        if self.nats >= math.log(self.past + 2.0) - _ROUNDING:
            return f"rarer than anything in {self.past:,} rows of its history: {self.stream}"
        return f"1 row in {math.exp(self.nats):,.0f} of its history is as strange: {self.stream}"


class SurpriseBank:
    """What is known of every series so far. Not thread-safe. Split in batches or whole: the same scores, bit for bit.

    Memory: `SurpriseConfig.bytes_per_series` for at most `max_series` series (twice that while it grows).
    """

    def __init__(self, config: SurpriseConfig) -> None:
        self.config = config
        self._parameters = config.parameters()
        self._arrays = empty_arrays(self._parameters, 1)
        self._slots = SeriesSlots(config.max_series)
        self._hashes = NameHashes()

    def __len__(self) -> int:
        return len(self._slots)

    def score(self, batch: SeriesBatch) -> FloatArray:
        """Take rows in, in arrival order, and return their scores (n,); 0.5 and above is an alarm, NaN = unknown.

        Unknown are the first `warmup_rows` rows of a series, rows that are not finite, and rows of series beyond `max_series`.
        """
        return self._run(points_of_batch(batch, self._hashes), _NO_ROWS)[0]

    def alarms(self, points: SeriesPoints) -> tuple[Alarm, ...]:
        """Take points in as `score` does rows; return the alarms among them, in order of their rows."""
        leading = np.full((len(points), 3), np.nan)
        self._run(points, _NO_ROWS, leading)
        names = stream_names(self.config)
        rows = np.flatnonzero(~np.isnan(leading[:, 0]))
        leading_figures = zip(rows.tolist(), leading[rows].tolist(), strict=True)
        return tuple(Alarm(row, names[int(stream)], nats, int(past)) for row, (stream, nats, past) in leading_figures)

    def explained(self, batch: SeriesBatch, rows: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        """Do as `score`, and also return (len(rows), streams, DETAILS): what each stream saw in these rows."""
        wanted = np.full(len(batch), -1, np.int64)
        wanted[list(rows)] = np.arange(len(rows))
        score, details = self._run(points_of_batch(batch, self._hashes), wanted)
        return score, details[wanted[list(rows)]]

    def snapshot(self) -> State:
        """Return the whole state as arrays of their own."""
        count = len(self._slots)
        state = {name: array[:count].copy() for name, array in self._arrays._asdict().items()}
        return {**state, **self._slots.state(), "config": self.config.numbers()}

    @classmethod
    def restore(cls, state: State) -> "SurpriseBank":
        """Return the bank that `snapshot` described; it goes on bit for bit.

        Raises:
            StateError: an array is missing or does not fit.
        """
        try:
            bank = cls(SurpriseConfig.of_numbers(state["config"]))
            bank._slots = SeriesSlots.of_state(bank.config.max_series, state)
            count = len(bank._slots)
            bank._arrays = empty_arrays(bank._parameters, max(1, count))
            for name, array in bank._arrays._asdict().items():
                array[:count] = _fitting(state[name], (count, *array.shape[1:]), name)
        except (KeyError, ValueError) as error:
            raise StateError(f"surprise state is damaged ({type(error).__name__}: {error}); warm up anew") from error
        return bank

    def _run(self, points: SeriesPoints, wanted: IntArray, leading: FloatArray = _NOT_ASKED) -> tuple[FloatArray, FloatArray]:
        details = np.full((int((wanted >= 0).sum()), stream_count(self._parameters), DETAILS), np.nan)
        score = np.full(len(points), np.nan)
        if len(points):
            slot = self._slots_of(points)
            rows = SurpriseRows(points.time_us, points.value, slot, score, wanted, details, leading)
            score_rows(self._arrays, self._parameters, rows, by_slot(slot, len(self._slots)))
        return score, details

    def _slots_of(self, points: SeriesPoints) -> IntArray:
        """Return each point's slot (n,), -1 where there is no room; the arrays have room for all slots."""
        slot = self._slots.of(points)
        count, room = len(self._slots), self._arrays.rows.size
        if count > room:
            self._arrays = grown(self._arrays, self._parameters, min(max(2 * room, count), self.config.max_series))
        return slot


def stream_names(config: SurpriseConfig) -> list[str]:
    """Return what each stream looks at, in words."""
    windows = [f"mean of {rows} rows" if rows > 1 else "value" for rows in config.windows]
    return ["value at this time of day", *windows, "distance to the most similar stretches"]


def _fitting(array: FloatArray, shape: tuple[int, ...], name: str) -> FloatArray:
    if array.shape != shape:
        raise StateError(f"surprise state: {name} has shape {array.shape}, not {shape}; warm up anew")
    return array
