"""Scoring without a transport: rows in, answer out. HTTP and gRPC both call this, on the same models."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.errors import ArtifactError, ContractError, Unavailable
from aiops.ports import FeatureReader
from aiops.types import FloatArray
from models.artifacts.catalog import descriptor_of, served_models
from serving.http.auth import Role
from serving.http.problem import Problem, ProblemError, refused
from serving.scoring.answers.request_origin import RequestOrigin
from serving.scoring.answers.scoring_metrics import ScoringMetrics
from serving.scoring.answers.served_log import ServedLog, ServedRows
from serving.scoring.requests.vector_rows import BoolArray, RequestRows, fill_from
from serving.scoring.slots.challenger import ChallengerPolicy
from serving.scoring.slots.model_slots import ModelSlots
from serving.scoring.slots.model_source import CHALLENGER, CHAMPION, ServedModel
from serving.scoring.slots.shadow import Shadow

SERVICE_ENSEMBLE: Final = "service-ensemble"
INCIDENT_PREDICTOR: Final = "incident-predictor"
SHADOW: Final = "shadow"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A call that scores: who may make it, which model answers, and whether rows may come without features."""

    path: str
    model: str
    role: Role
    looks_up: bool


def endpoint_of(model: str) -> Endpoint:
    """Return the call that a model answers, by its descriptor. Operators only: what is scored is logged, and drift goes by it.

    Raises:
        ArtifactError: no such model, or none that the scoring service answers with.
    """
    route = descriptor_of(model).endpoint
    if route is None:
        raise ArtifactError(f"model {model!r} has no endpoint; the scoring service answers with {', '.join(served_models())}")
    return Endpoint(route.path, model, Role.OPERATOR, route.looks_up)


def scoring_endpoints() -> tuple[Endpoint, ...]:
    """Return the calls that score, one a served model."""
    return tuple(endpoint_of(model) for model in served_models())


SCORE: Final = endpoint_of(SERVICE_ENSEMBLE)
PREDICT: Final = endpoint_of(INCIDENT_PREDICTOR)
EXPLAIN: Final = Endpoint("/explain", INCIDENT_PREDICTOR, Role.VIEWER, looks_up=True)
"""Its model is the one explained where a request names none; nothing is logged."""


def endpoints() -> tuple[Endpoint, ...]:
    """Return all calls about models: those that score, and the explanation."""
    return (*scoring_endpoints(), EXPLAIN)


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of an answer that one model scored; `indices` None = all of them."""

    served: ServedModel
    role: str
    indices: npt.NDArray[np.int64] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Scores of all rows in request order.

    `scores` (n, outputs), NaN = unknown; `anomalous` (n,) at least one output at its threshold; `known` (n,) at least one
    output is known; `version_index` (n,) which of `versions` scored the row; `thresholds` are the champion's. `shares`
    (n, members): what each of the champion's `members` adds to a row's score, NaN = nothing known of it; both empty for a model
    without members.
    """

    model: str
    origin: RequestOrigin
    outputs: tuple[str, ...]
    thresholds: FloatArray
    rows: RequestRows
    scores: FloatArray
    anomalous: BoolArray
    known: BoolArray
    versions: tuple[str, ...]
    version_index: npt.NDArray[np.int64]
    parts: tuple[Part, ...]
    members: tuple[str, ...] = ()
    shares: FloatArray = field(default_factory=lambda: np.empty((0, 0)))


class TenantFeatures(Protocol):
    """Online features of all tenants; each reader counts what it met for all."""

    def for_tenant(self, tenant: str) -> FeatureReader:
        """Return the reader of a tenant's features."""
        ...


@dataclass(frozen=True, slots=True)
class ScoringPorts:
    """What scoring needs from outside."""

    features: TenantFeatures
    log: ServedLog
    metrics: ScoringMetrics
    clock: Callable[[], datetime]
    shadow: Shadow


class Scoring:
    """Answers requests on the slots' current models. Every method may be called from several threads."""

    def __init__(self, slots: ModelSlots, policy: ChallengerPolicy, ports: ScoringPorts) -> None:
        self._slots = slots
        self._policy = policy
        self._ports = ports

    def current(self, model: str, tenant: str) -> ServedModel:
        """Return the champion that answers a tenant now.

        Raises:
            ProblemError: 503, none is loaded.
        """
        slot = self._slots.of(model, CHAMPION, tenant)
        if slot is None or slot.current is None:
            detail = f"model = {model}: no champion is loaded yet. Train and promote one, then try again."
            raise ProblemError(
                Problem(503, "model-not-loaded", detail, "model", model, "a champion is loaded", "train and promote")
            )
        return slot.current

    def complete(self, rows: RequestRows, looks_up: bool, tenant: str) -> RequestRows:
        """Return rows whose features are filled in from the tenant's online store where they came without.

        Raises:
            ProblemError: 400 where rows must bring features; 503 where the store does not answer.
        """
        if not rows.looked_up.any():
            return rows
        if not looks_up:
            number = int(np.argmax(rows.looked_up))
            raise refused(
                f"rows[{number}]", "", "a row gives at least one feature", "send the features of the service at its tick"
            )
        services = [str(name) for name in rows.services.filter(pa.array(rows.looked_up)).to_pylist()]
        reader = self._ports.features.for_tenant(tenant)
        try:
            batch = reader.read_services(services, self._ports.clock())
        except (Unavailable, ContractError) as error:
            detail = "the online feature store does not answer; send the features with the request, or try again."
            raise ProblemError(Problem(503, "features-unavailable", detail, "rows", "", "", "send the features")) from error
        filled = fill_from(batch, rows)
        unknown = int(np.isnan(filled.features[filled.looked_up]).sum())
        self._ports.metrics.unknown_features.inc(unknown)
        self._ports.metrics.views.note(reader.read_statistics)
        return filled

    def answer(self, endpoint: Endpoint, rows: RequestRows, origin: RequestOrigin) -> Answer:
        """Score `rows`; deterministic given the models. O(rows) memory."""
        champion = self.current(endpoint.model, origin.tenant)
        rows = self.complete(rows, endpoint.looks_up, origin.tenant)
        parts = self._parts(endpoint.model, champion, rows, origin.tenant)
        outputs = champion.model.outputs
        members = members_of(champion)
        scores, shares = np.empty((len(rows), len(outputs))), np.full((len(rows), len(members)), np.nan)
        anomalous = np.zeros(len(rows), dtype=np.bool_)
        version_index = np.zeros(len(rows), dtype=np.int64)
        for number, part in enumerate(parts):
            chosen = slice(None) if part.indices is None else part.indices
            part_scores, part_shares = score_rows(part.served, rows if part.indices is None else rows.take(part.indices))
            scores[chosen] = part_scores
            if members and members_of(part.served) == members:
                shares[chosen] = part_shares
            anomalous[chosen] = (part_scores >= part.served.model.thresholds).any(axis=1)
            version_index[chosen] = number
        known = np.asarray((~np.isnan(scores)).any(axis=1), dtype=np.bool_)
        versions = tuple(part.served.version for part in parts)
        thresholds = champion.model.thresholds
        judged = (scores, anomalous, known, versions, version_index, parts)
        return Answer(endpoint.model, origin, outputs, thresholds, rows, *judged, members, shares)

    def record(self, answer: Answer) -> None:
        """Log an answer that is being sent, and score it in the shadow where that is wanted."""
        now = self._ports.clock()
        for part in answer.parts:
            rows = answer.rows if part.indices is None else answer.rows.take(part.indices)
            scores = answer.scores if part.indices is None else answer.scores[part.indices]
            self._log(now, answer, part, rows, scores)
        challenger = self._challenger(answer.model, answer.origin.tenant) if self._policy.mode == "shadow" else None
        if challenger is not None:
            self._shadow(now, answer, challenger)

    def _parts(self, model: str, champion: ServedModel, rows: RequestRows, tenant: str) -> tuple[Part, ...]:
        whole = Part(champion, CHAMPION, None)
        challenger = self._challenger(model, tenant) if self._policy.mode == "share" else None
        if challenger is None or challenger.model.outputs != champion.model.outputs:
            return (whole,)
        chosen = self._policy.answered_by_challenger(rows.services)
        if not chosen.any():
            return (whole,)
        if chosen.all():
            return (Part(challenger, CHALLENGER, None),)
        return (Part(champion, CHAMPION, np.flatnonzero(~chosen)), Part(challenger, CHALLENGER, np.flatnonzero(chosen)))

    def _challenger(self, model: str, tenant: str) -> ServedModel | None:
        slot = self._slots.of(model, CHALLENGER, tenant)
        return slot.current if slot is not None else None

    def _shadow(self, now: datetime, answer: Answer, challenger: ServedModel) -> None:
        def score_in_shadow() -> None:
            scores, _ = score_rows(challenger, answer.rows)
            self._log(now, answer, Part(challenger, SHADOW, None), answer.rows, scores)

        if not self._ports.shadow.submit(score_in_shadow, len(answer.rows)):
            self._ports.metrics.shadow_skipped.inc(len(answer.rows))

    def _log(self, now: datetime, answer: Answer, part: Part, rows: RequestRows, scores: FloatArray) -> None:
        self._ports.metrics.rows.labels(answer.model, part.role).inc(len(rows))
        entry = ServedRows(
            now,
            answer.origin,
            answer.model,
            part.served.version,
            part.role,
            rows.services,
            rows.event_times,
            rows.features,
            scores[:, -1],
        )
        self._ports.log.append(entry)


def members_of(served: ServedModel) -> tuple[str, ...]:
    """Return the names of a model's members, () where it has none."""
    return served.sharing.member_names if served.sharing is not None else ()


def score_rows(served: ServedModel, rows: RequestRows) -> tuple[FloatArray, FloatArray]:
    """Return scores (n, outputs) and shares (n, members), (n, 0) for a model without members."""
    return score_matrix(served, rows.matrix(served.model.features))


def score_matrix(served: ServedModel, matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what `score_rows` does, of (n, len(features))."""
    if served.sharing is not None:
        return served.sharing.score_and_shares(matrix)
    return served.model.score(matrix), np.empty((len(matrix), 0))
