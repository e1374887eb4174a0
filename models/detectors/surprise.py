"""Tier 1: how surprising a row is in the history of its own series; nothing is fitted, one rule of alarm holds for all series.

Six streams watch a series: the residual beside the mean of the same time of day; how far the mean of the last 1, 8, 24 and 72
rows leaves the range of all earlier ones; how far the newest stretch lies from the third most similar one before. Each is
judged by the share of the series' own past rows that deviated as much: -ln of it is the surprise (Shannon). Surprises are
added as a p-norm; the alarm level grows with the logarithm of the rows, since a longer history has stranger rows by chance.
After an alarm the series is quiet for a while.
Sources of the ideas: self-information, Shannon 1948; nearest earlier stretch, Keogh et al., "HOT SAX" (discords), 2005;
ranks against the own past, Laxhammar & Falkman, "Conformal prediction for distribution-independent anomaly detection", 2010.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np

from aiops.errors import AiopsError, ArtifactError, StateError
from aiops.types import FloatArray, SeriesBatch, State
from models.artifacts.artifact import state_array
from models.detectors.robust_stream import FEATURES
from models.detectors.surprise_bank import SurpriseBank, SurpriseConfig, stream_names
from models.detectors.surprise_kernels import EXPECTED, LOWER, SEEN, SHARE, SURPRISE, UPPER

THRESHOLD: Final = 0.5


@dataclass(frozen=True, slots=True)
class Surprise:
    """What one stream saw in one row: `share` = of the series' past rows, those that deviated at least as much."""

    stream: str
    nats: float
    seen: float
    expected: float
    lower: float
    upper: float
    share: float

    @property
    def text(self) -> str:
        """Return one sentence in words and numbers."""
        about = "" if math.isnan(self.expected) else f" where {self.expected:.6g} was expected"
        bounds = "" if math.isnan(self.upper) else f", bounds {self.lower:.6g} to {self.upper:.6g}"
        return f"{self.stream}: {self.seen:.6g}{about}{bounds}; 1 row in {1.0 / self.share:,.0f} of this series deviates as much"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a row scored as it did; `streams` most surprised first, those that were not surprised left out."""

    row: int
    score: float
    streams: tuple[Surprise, ...]

    @property
    def text(self) -> str:
        """Return the two most surprised streams in words."""
        if math.isnan(self.score):
            return "unknown: the series is still warming up"
        return "; ".join(stream.text for stream in self.streams[:2]) or "nothing in this row is strange for its series"


@dataclass(frozen=True, slots=True)
class SeriesSurprise:
    """Detector of single series; immutable. All it holds is its configuration."""

    catalog_name: ClassVar[str] = "series-surprise"

    config: SurpriseConfig = field(default_factory=SurpriseConfig)

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
        """Return (1,): 0.5 and above is an alarm, for every series."""
        return np.array([THRESHOLD])

    @property
    def lookback(self) -> int:
        """Return the rows of a series before its first score."""
        return self.config.warmup_rows

    def stream(self, state: State | None = None) -> SurpriseBank:
        """Return a bank that knows no series yet, or the one of a snapshot: it goes on bit for bit.

        Raises:
            StateError: the snapshot is damaged, or of a detector with another configuration.
        """
        if state is None:
            return SurpriseBank(self.config)
        bank = SurpriseBank.restore(state)
        if bank.config != self.config:
            raise StateError(f"the snapshot was made with {bank.config}, not with {self.config}; warm up anew")
        return bank

    def score(self, batch: SeriesBatch) -> FloatArray:
        """Return (n,) scores by a fresh bank over the batch alone, in arrival order; NaN = unknown (warm-up)."""
        return self.stream().score(batch)

    def explanations(self, batch: SeriesBatch, rows: Sequence[int]) -> tuple[Explanation, ...]:
        """Return why these rows of a batch scored as they did, one each, in their order."""
        score, details = self.stream().explained(batch, rows)
        return tuple(self._explanation(row, float(score[row]), detail) for row, detail in zip(rows, details, strict=True))

    def state(self) -> State:
        """Return the configuration."""
        return {"config": self.config.numbers()}

    @classmethod
    def from_state(cls, state: State) -> "SeriesSurprise":
        """Return the detector of a state.

        Raises:
            ArtifactError: the configuration is missing, of another version or out of range.
        """
        try:
            return cls(SurpriseConfig.of_numbers(state_array(state, "config")))
        except ArtifactError:
            raise
        except AiopsError as error:
            raise ArtifactError(f"the model state's configuration cannot be used: {error}") from error

    def _explanation(self, row: int, score: float, detail: FloatArray) -> Explanation:
        streams = [
            Surprise(name, *(float(figures[column]) for column in (SURPRISE, SEEN, EXPECTED, LOWER, UPPER, SHARE)))
            for name, figures in zip(stream_names(self.config), detail, strict=False)
            if figures[SURPRISE] > 0.0
        ]
        return Explanation(row, score, tuple(sorted(streams, key=lambda stream: -stream.nats)))
