"""From candidates and model answers to rows of the detections and predictions tables."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from aiops.decision import Opinion, decide
from aiops.errors import ModelNotFound, Unavailable
from data_contracts import schemas
from serving.streams import one_batch


class ScoredRows(Protocol):
    """Answer of the models: `rows` has service, event_timestamp, the outputs and `anomalous`, in the order asked."""

    @property
    def rows(self) -> pa.RecordBatch:
        """Return the answered rows."""
        ...

    @property
    def model_version(self) -> str:
        """Return the version that answered."""
        ...


class Models(Protocol):
    """The scoring service as the consumer sees it."""

    def score(self, batch: pa.RecordBatch) -> ScoredRows:
        """Score `schemas.SERVICE_FEATURES_TABLE` rows for strangeness. Raises: Unavailable."""
        ...

    def predict(self, batch: pa.RecordBatch) -> ScoredRows:
        """Predict incidents from `schemas.SERVICE_FEATURES_TABLE` rows. Raises: Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Answers:
    """What the models said about candidates; `predicted` covers the scheduled rows, None without any or without a predictor."""

    scored: ScoredRows
    predicted: ScoredRows | None


@dataclass(frozen=True, slots=True)
class Silence:
    """Why the models said nothing; `ask_again` = later they may."""

    reason: str
    ask_again: bool


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Rows to commit; empty batches where there is nothing to say."""

    detections: pa.RecordBatch
    predictions: pa.RecordBatch


def feature_rows(candidates: pa.RecordBatch) -> pa.RecordBatch:
    """Return the feature columns of candidates as `schemas.SERVICE_FEATURES_TABLE`."""
    names = schemas.SERVICE_FEATURES_TABLE.names
    return pa.RecordBatch.from_arrays([candidates.column(name) for name in names], schema=schemas.SERVICE_FEATURES_TABLE)


def ask(models: Models, candidates: pa.RecordBatch) -> Answers:
    """Ask the models about candidates.

    Raises:
        Unavailable: the service did not answer, or not with one row a row.
        ContractError: it refuses these rows; asking again is no use.
        ModelNotFound: there is no detector to ask. A missing predictor only leaves the prediction out.
    """
    features = feature_rows(candidates)
    scheduled = features.filter(candidates.column("scheduled"))
    scored = _aligned(models.score, features)
    try:
        return Answers(scored, _aligned(models.predict, scheduled) if scheduled.num_rows else None)
    except ModelNotFound:
        return Answers(scored, None)


def _aligned(call: Callable[[pa.RecordBatch], ScoredRows], asked: pa.RecordBatch) -> ScoredRows:
    answer = call(asked)
    if answer.rows.num_rows != asked.num_rows or not answer.rows.column("service").equals(asked.column("service")):
        raise Unavailable(
            f"scoring service: {answer.rows.num_rows} rows answered for {asked.num_rows} asked, or in another order"
        )
    return answer


def prediction_rows(candidates: pa.RecordBatch, predicted: ScoredRows | None, reason: str) -> pa.RecordBatch:
    """Return `schemas.PREDICTIONS` of the scheduled candidates."""
    if predicted is None:
        return one_batch(schemas.PREDICTIONS.empty_table())
    rows = predicted.rows
    size = rows.num_rows
    scheduled = candidates.filter(candidates.column("scheduled"))
    columns: list[pa.Array[Any]] = [
        scheduled.column("event_timestamp"),
        scheduled.column("service"),
        rows.column("p_15min"),
        rows.column("p_60min"),
        pa.array(_flags(rows)),
        pa.array([predicted.model_version] * size, pa.string()),
        pa.array([reason] * size, pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schemas.PREDICTIONS)


def _flags(rows: pa.RecordBatch) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Return `anomalous` as (n,) bool; unknown is no alarm."""
    return np.array([flag is True for flag in rows.column("anomalous").to_pylist()], dtype=np.bool_)


def judged(candidates: pa.RecordBatch, answers: Answers, revision: int = 0) -> Verdicts:
    """Return what the models and tier 1 together say; revision 1 where tier 1 had to speak alone before.

    Detections: every candidate that is anomalous, and every one that tier 1 flagged (so that its alarm is taken back where the
    models disagree).
    """
    rows = answers.scored.rows
    score = rows.column("score").to_numpy(zero_copy_only=False).astype(np.float64)
    strange = _flags(rows)
    opinion = Opinion(score, strange, answers.scored.model_version)
    predictions = prediction_rows(candidates, answers.predicted, "caught up later" if revision else "on schedule")
    return Verdicts(_worth_saying(candidates, decide(candidates, opinion, revision)), predictions)


def tier1_alone(candidates: pa.RecordBatch, silence: str) -> Verdicts:
    """Return what tier 1 says by itself, with the reason for the models' silence; no predictions."""
    detections = decide(candidates, Opinion.unknown(candidates.num_rows, silence))
    return Verdicts(_worth_saying(candidates, detections), one_batch(schemas.PREDICTIONS.empty_table()))


def _worth_saying(candidates: pa.RecordBatch, detections: pa.RecordBatch) -> pa.RecordBatch:
    flagged = candidates.column("flagged").to_numpy(zero_copy_only=False)
    return detections.filter(pa.array(flagged | _flags(detections)))
