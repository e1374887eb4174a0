"""Why a row scored as it did: contributions of every feature, strongest first, and a sentence."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES
from models.artifacts.catalog import served_models
from models.prediction.outlook import spoken
from serving.http.problem import refused
from serving.scoring.answers.request_origin import RequestOrigin
from serving.scoring.answers.scoring import EXPLAIN, Scoring, members_of, score_matrix
from serving.scoring.requests.vector_rows import RequestRows
from serving.scoring.slots.model_source import ExplainableModel, ReasoningModel, ServedModel

MAX_ROWS: Final = 1_000
_WORDS_FEATURES: Final = 3


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one feature, or term that the model makes of its features, added; `value` NaN = unknown."""

    feature: str
    value: float
    contribution: float


@dataclass(frozen=True, slots=True)
class ExplainedRow:
    """One explained row: `base_value` + sum of contributions = `margin`, in the model's own unit; NaN score = unknown.

    `shares`: what each member of an ensemble adds, in all 1; one that abstains is absent.
    """

    row: int
    score: float
    anomalous: bool
    base_value: float
    margin: float
    contributions: tuple[Contribution, ...]
    words: str
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Explanation:
    """All rows of one request, explained by the champion; `output` is the model's last, the one contributions speak of."""

    model: str
    model_version: str
    request_id: str
    output: str
    threshold: float
    rows: RequestRows
    explained: tuple[ExplainedRow, ...]


def explain(scoring: Scoring, model: str, rows: RequestRows, origin: RequestOrigin) -> Explanation:
    """Explain the last output of the champion of `model` ("" = the incident predictor). O(rows * features).

    Raises:
        ProblemError: 400 an unknown model; 503 nothing loaded or no features.
    """
    name = model or EXPLAIN.model
    if name not in served_models():
        raise refused("model", name, f"one of {', '.join(served_models())}", "name a served model")
    served = scoring.current(name, origin.tenant)
    rows = scoring.complete(rows, EXPLAIN.looks_up, origin.tenant)
    features = rows.matrix(served.model.features)
    scores, shares = score_matrix(served, features)
    members = members_of(served)
    names, values, given = _reasons(served.model, features)
    threshold = float(served.model.thresholds[-1])
    output = served.model.outputs[-1]
    explained = tuple(
        _row(
            number,
            float(scores[number, -1]),
            served,
            strongest_first(names, values[number], given[number]),
            known_shares(members, shares[number].tolist()),
        )
        for number in range(len(rows))
    )
    return Explanation(name, served.version, origin.request_id, output, threshold, rows, explained)


def _reasons(model: ExplainableModel, features: FloatArray) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
    """Return what the model reasons with, the values and the contributions: its own terms, else its features."""
    if isinstance(model, ReasoningModel):
        return model.reasons(features)
    return model.features, features, model.explain(features)


def strongest_first(names: tuple[str, ...], values: FloatArray, shares: FloatArray) -> tuple[Contribution, ...]:
    """Return contributions by falling absolute size; equal ones in the order of the features; none where they are unknown."""
    if np.isnan(shares).any():
        return ()
    order = np.argsort(-np.abs(shares), kind="stable")
    return tuple(Contribution(names[index], float(values[index]), float(shares[index])) for index in order)


def known_shares(members: tuple[str, ...], shares: Sequence[float]) -> dict[str, float]:
    """Return the shares of the members that do not abstain, largest first."""
    known = [(name, share) for name, share in zip(members, shares, strict=True) if not math.isnan(share)]
    return dict(sorted(known, key=lambda item: -item[1]))


def _row(
    number: int, score: float, served: ServedModel, contributions: tuple[Contribution, ...], shares: Mapping[str, float]
) -> ExplainedRow:
    threshold = float(served.model.thresholds[-1])
    total = math.fsum(item.contribution for item in contributions) if contributions else math.nan
    anomalous = score >= threshold
    words = in_words(served.model.outputs[-1], score, threshold, contributions)
    if shares and not math.isnan(score):
        words += " Found by " + ", ".join(f"{name} {share:.2f}" for name, share in shares.items()) + "."
    return ExplainedRow(number, score, anomalous, served.base_value, served.base_value + total, contributions, words, shares)


def in_words(output: str, score: float, threshold: float, contributions: tuple[Contribution, ...]) -> str:
    """Return the explanation as sentences.

    >>> in_words("score", 0.75, 0.5, (Contribution("errors_worst", 0.9, 0.25),))
    'score = 0.750, at or above the threshold 0.500. Raised by errors_worst = 0.9 (+0.25).'
    """
    if math.isnan(score):
        return f"{output} is unknown: no feature is known."
    side = "at or above" if score >= threshold else "below"
    sentences = [f"{output} = {score:.3f}, {side} the threshold {threshold:.3f}"]
    for verb, sign in (("Raised by", 1.0), ("Lowered by", -1.0)):
        chosen = [item for item in contributions if item.contribution * sign > 0][:_WORDS_FEATURES]
        if chosen:
            sentences.append(f"{verb} {', '.join(_phrase(item) for item in chosen)}")
    unknown = sum(math.isnan(item.value) for item in contributions)
    if unknown:
        sentences.append(f"{unknown} of {len(contributions)} features unknown")
    return ". ".join(sentences) + "."


def _phrase(item: Contribution) -> str:
    return f"{spoken(item.feature, item.value)} ({item.contribution:+.3g})"


def unknown_names(rows: RequestRows, number: int) -> list[str]:
    """Return which features of a looked-up row were missing or stale; empty for a row that brought its own."""
    if not rows.looked_up[number]:
        return []
    missing = np.isnan(rows.features[number])
    return [name for name, absent in zip(SERVICE_FEATURES, missing, strict=True) if absent]
