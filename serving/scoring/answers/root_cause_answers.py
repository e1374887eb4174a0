"""Root causes without a transport: a question in, a report out, from the lake or from telemetry sent along.

An analysis takes a second where the lake holds thousands of services, so it has places of its own: few, and none of /score's.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Protocol

import msgspec

from aiops.errors import ConfigurationError, ContractError, StateError
from aiops.incidents.root_cause import ChangeEvent, RootCauseReport
from aiops.incidents.root_cause_question import RootCauseQuestion
from aiops.topology.graph import ServiceGraph
from aiops.version import __version__
from data_contracts.values.moments import microseconds_of
from models.rca.explain import ExplainConfig, RcaInputs, WindowConfig, explain
from models.rca.grid import SeriesGrid
from models.rca.ranking import LEAST_SAMPLES, RootCauseRanker
from models.rca.symptom import symptom_of
from serving.http.auth import Role
from serving.http.problem import Problem, ProblemError, refused
from serving.scoring.answers.request_origin import RequestOrigin
from serving.scoring.answers.scoring import Endpoint
from serving.scoring.answers.scoring_metrics import ScoringMetrics
from serving.scoring.requests.root_cause_request import InlineQuestion, LakeQuestion
from serving.scoring.slots.tenant_cache import TenantCache

MODEL: Final = "root-cause"
ROOT_CAUSE: Final = Endpoint("/root_cause", MODEL, Role.OPERATOR, looks_up=True)
MOST_ANALYSTS: Final = 16
"""Tenants whose analyst, with the baselines of their services, is kept; the least recently asked one goes."""
MOST_AT_ONCE: Final = 2
"""Analyses in progress in a worker; more are refused with 429."""


class Analyst(Protocol):
    """Explains from telemetry that lies somewhere: `serving.root_cause.lake_explainer.RootCauseAnalyst`."""

    def answer(self, question: RootCauseQuestion) -> RootCauseReport:
        """Return the report that answers a question."""
        ...


@dataclass(frozen=True, slots=True)
class RootCauseAnswer:
    """A report and what it goes back to."""

    request_id: str
    version: str
    report: RootCauseReport


class RootCauses:
    """Answers /root_cause. Every method may be called from several threads; `analyst` makes a tenant's at its first question."""

    def __init__(
        self, analyst: Callable[[str], Analyst] | None, metrics: ScoringMetrics, config: ExplainConfig | None = None
    ) -> None:
        self._analysts = None if analyst is None else TenantCache(analyst, MOST_ANALYSTS)
        self._metrics = metrics
        self._config = config or ExplainConfig()

    def answer(self, question: LakeQuestion | InlineQuestion, origin: RequestOrigin) -> RootCauseAnswer:
        """Explain a trouble. O(steps x series + edges).

        Raises:
            ProblemError: 400, the telemetry sent along does not suffice; 503, the lake cannot be read.
        """
        report = (
            self._from_lake(question, origin.tenant) if isinstance(question, LakeQuestion) else from_rows(question, self._config)
        )
        self._metrics.root_causes.labels("decided" if report.decided else "undecided").inc()
        return RootCauseAnswer(origin.request_id, __version__, report)

    def _from_lake(self, question: LakeQuestion, tenant: str) -> RootCauseReport:
        fix = "send rows, edges and window_start, or try again"
        if self._analysts is None:
            raise ProblemError(Problem(503, "no-telemetry", f"this service reads no lake; {fix}.", "service", "", "", fix))
        began = question.at - timedelta(minutes=question.minutes)
        try:
            return self._analysts.of(tenant).answer(RootCauseQuestion({question.service: began}, question.at))
        except (StateError, ContractError, ConfigurationError) as error:
            detail = f"the lake's telemetry or call graph cannot be read; {fix}. The service's log says why."
            raise ProblemError(Problem(503, "telemetry-unavailable", detail, "service", "", "", fix)) from error


def from_rows(question: InlineQuestion, config: ExplainConfig) -> RootCauseReport:
    """Return the report of telemetry sent along.

    Raises:
        ProblemError: 400, too little time before the trouble, or no row of the service.
    """
    grid = SeriesGrid.of(question.table(), question.step_s).between(0, microseconds_of(question.at) + 1)
    begin_us = microseconds_of(question.window_start)
    early_us = begin_us - round(WindowConfig().before_s * 1e6)
    window, calm = grid.between(begin_us, _END), grid.between(0, early_us)
    before: SeriesGrid | None = grid.between(early_us, begin_us)
    if calm.time_us.size < LEAST_SAMPLES:  # too short to be divided
        before, calm = None, grid.between(0, begin_us)
    if calm.time_us.size < LEAST_SAMPLES:
        rule = f"at least {LEAST_SAMPLES} steps lie before window_start; then there is a baseline"
        raise refused("rows", f"{calm.time_us.size} steps", rule, "send hours of telemetry from before the trouble")
    if not window.time_us.size:
        raise refused("rows", "", "some rows with a value lie between window_start and at", "send telemetry of the trouble")
    if question.service and question.service not in {service for service, _ in window.series}:
        raise refused("service", question.service, "the service has rows", "send its telemetry, or leave service out")
    services = sorted({service for service, _ in grid.series})
    graph = ServiceGraph.from_pairs(question.edges, services)
    ranker = RootCauseRanker.fit(calm, graph)
    alerted = {question.service: question.window_start} if question.service else {}
    symptom = symptom_of(window, ranker, graph, alerted)
    sent_changes = question.changes or ()
    changes = tuple(ChangeEvent.of(change.at, change.service, change.kind, change.what, "request") for change in sent_changes)
    inputs = RcaInputs(question.at, window, calm, graph, before, alerted, symptom, ranker=ranker)
    return explain(replace(inputs, changes=changes, changes_recorded=question.changes is not None), config)


def root_cause_json(answer: RootCauseAnswer) -> bytes:
    """Return `{"model", "model_version", "request_id", …the report's fields}`; a number that is not known is null.

    Example traces are kept with incidents, not with answers.
    """
    envelope = {"model": MODEL, "model_version": answer.version, "request_id": answer.request_id}
    report = {name: value for name, value in msgspec.to_builtins(answer.report).items() if name != "examples"}
    return msgspec.json.encode({**envelope, **report})


_END: Final = 1 << 62
