"""What each tier says about candidates, and what is needed to weigh it: routes and the measured past of their series."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.detection.routing import Route
from aiops.features.series_character import SeriesCharacter
from aiops.signals.signal_sentences import SignalText
from aiops.types import FloatArray

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Band:
    """Expected course of a point's series, (n,) each; NaN = unknown."""

    expected: FloatArray
    lower: FloatArray
    upper: FloatArray


@dataclass(frozen=True, slots=True)
class Opinion:
    """What tier 2 or tier 3 says about candidates, aligned to their rows."""

    score: FloatArray
    """(n,) 0..1; NaN = unknown."""
    strange: BoolArray
    """(n,) score at or above the model's threshold; of no meaning where the score is unknown."""
    model_version: str | Sequence[str]
    """One for all rows, or one a row."""
    silence: str | Sequence[str] = "no score was given"
    """Why scores are unknown, in words: one text, or one a row."""
    details: Sequence[str] = ()
    """What goes with each score, in words: shares of the members, or how rare it is; one text a row."""
    band: Band | None = None
    """Tier 2's only."""

    @classmethod
    def of_scores(cls, score: FloatArray, threshold: float, model_version: str) -> "Opinion":
        """Return the opinion of a model with that threshold."""
        return cls(score, np.asarray(score >= threshold), model_version)

    @classmethod
    def unknown(cls, count: int, silence: str) -> "Opinion":
        """Return the opinion of a tier that did not answer; `silence` says why."""
        return cls(np.full(count, np.nan), np.zeros(count, dtype=np.bool_), "", silence)

    def version_of(self, row: int) -> str:
        """Return the version that scored a row."""
        return self.model_version if isinstance(self.model_version, str) else self.model_version[row]

    def filled(self, other: "Opinion", where: BoolArray) -> "Opinion":
        """Return this opinion with the rows `where` taken from another one without bands."""
        picked: list[tuple[Opinion, int]] = [(other if taken else self, row) for row, taken in enumerate(where.tolist())]
        return Opinion(
            np.where(where, other.score, self.score),
            np.where(where, other.strange, self.strange),
            [opinion.version_of(row) for opinion, row in picked],
            [opinion.silence_of(row) for opinion, row in picked],
            [opinion.detail_of(row) for opinion, row in picked],
        )

    def silence_of(self, row: int) -> str:
        """Return why a row has no score."""
        return self.silence if isinstance(self.silence, str) else self.silence[row]

    def detail_of(self, row: int) -> str:
        """Return what goes with the score of a row, "" where nothing does."""
        return self.details[row] if self.details else ""


@dataclass(frozen=True, slots=True)
class Context:
    """Of each candidate: the route of its worst metric, and what was measured of that series (None = nothing)."""

    routes: Sequence[Route]
    characters: Sequence[SeriesCharacter | None]
    version: str
    """Of the routing."""
    texts: Sequence[SignalText | None] = ()
    """What the series are about, where they are made of logs; empty = of none."""

    def text_of(self, row: int) -> SignalText | None:
        """Return what the worst series of a row is about, None where its name says it all."""
        return self.texts[row] if self.texts else None
