"""Questions to the models about candidates: which rows, and an answer with one row a row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from aiops.detection.detection_rows import ScoredRows, feature_rows, season_question
from aiops.errors import ModelNotFound, Unavailable
from data_contracts.schemas import telemetry_schemas


class Models(Protocol):
    """The scoring service as the consumer sees it."""

    def season(self, batch: pa.RecordBatch) -> ScoredRows:
        """Compare points (service, metric, timestamp, value) with their seasonal bands. Raises: Unavailable.

        The answer has service, expected, lower, upper, score (0.5 = at the bound, null = unknown), rarity and status.
        """
        ...

    def score(self, batch: pa.RecordBatch) -> ScoredRows:
        """Score `telemetry_schemas.SERVICE_FEATURES_TABLE` rows for strangeness. Raises: Unavailable."""
        ...

    def predict(self, batch: pa.RecordBatch) -> ScoredRows:
        """Predict incidents from `telemetry_schemas.SERVICE_FEATURES_TABLE` rows. Raises: Unavailable."""
        ...


ModelsOf = Callable[[str], Models]
"""The models as a tenant sees them."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers of the models about service vectors; None where there is no such model, or no row for a prediction.

    `predicted` covers the scheduled rows; `missing` says why `scored` is None.
    """

    scored: ScoredRows | None
    predicted: ScoredRows | None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Why a tier gave no answer; `kind`: missing, late or refused."""

    reason: str
    may_answer_later: bool
    kind: str


def ask(models: Models, candidates: pa.RecordBatch) -> Answers:
    """Ask for scores of candidates and predictions of the scheduled ones; a missing model only leaves its part out.

    Raises:
        Unavailable: the service did not answer, or not with one row a row.
        ContractError: it refuses these rows; asking again is no use.
    """
    scored, missing = None, ""
    try:
        scored = ask_scores(models, candidates)
    except ModelNotFound as error:
        missing = str(error)
    scheduled = feature_rows(candidates).filter(candidates.column("scheduled"))
    try:
        predicted = _aligned(models.predict, scheduled) if scheduled.num_rows else None
    except ModelNotFound:
        predicted = None
    return Answers(scored, predicted, missing)


def ask_scores(models: Models, candidates: pa.RecordBatch) -> ScoredRows:
    """Ask tier 3 about the services of candidates.

    Raises:
        Unavailable, ContractError: as `ask`.
        ModelNotFound: there is no detector to ask.
    """
    features = feature_rows(candidates)
    if telemetry_schemas.SEQUENCE in candidates.schema.names:
        features = features.append_column(telemetry_schemas.SEQUENCE, candidates.column(telemetry_schemas.SEQUENCE))
    return _aligned(models.score, features)


def ask_season(models: Models, candidates: pa.RecordBatch) -> ScoredRows:
    """Ask tier 2 about the worst points of candidates, all with a metric.

    Raises:
        Unavailable, ContractError, ModelNotFound: as `ask_scores`.
    """
    return _aligned(models.season, season_question(candidates))


def _aligned(call: Callable[[pa.RecordBatch], ScoredRows], rows: pa.RecordBatch) -> ScoredRows:
    answer = call(rows)
    if answer.rows.num_rows != rows.num_rows or not answer.rows.column("service").equals(rows.column("service")):
        raise Unavailable(f"scoring service: {answer.rows.num_rows} rows answered for {rows.num_rows} asked, or in another order")
    return answer
