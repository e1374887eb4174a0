"""Confirmation of candidates: which tier is asked about which, how long its answer is waited for, and what no answer means.

Tier 2 is asked where a route begins with it, tier 3 about the other rows and about every scheduled one (what is served at a
fixed cadence is what drift is measured on), and both where the tier before them in a route has no opinion.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np
import pyarrow as pa

from aiops.detection.detection_rows import ScoredRows, learned, seasonal
from aiops.detection.opinions import BoolArray, Context, Opinion
from aiops.errors import ContractError, ModelNotFound, Unavailable
from serving.host.log_rate_limit import LineLimit
from serving.stream.consumer.circuit_breaker import BreakerConfig, BreakerState, CircuitBreaker
from serving.stream.consumer.consumer_metrics import ConsumerMetrics
from serving.stream.consumer.questions import Answers, Models, ModelsOf, NoAnswer, ask, ask_scores, ask_season

SEASONAL: Final = 2
LEARNED: Final = 3
_RETRY_S: Final = 0.2

Answer = TypeVar("Answer")
log = logging.getLogger(__name__)
_lines = LineLimit(log)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Opinions of the tiers about candidates, and the rows (n,) that are deferred because a tier did not answer."""

    opinions: Mapping[int, Opinion]
    predicted: ScoredRows | None
    deferred: BoolArray
    predictions_due: bool
    """Predictions of the scheduled rows are still to come."""
    unanswered: Mapping[int, NoAnswer]


class ConfirmingTiers:
    """Tiers 2 and 3, each behind a circuit breaker; used by one thread."""

    def __init__(self, models_of: ModelsOf, metrics: ConsumerMetrics, fallback_after_s: float, stop: threading.Event) -> None:
        self._models_of = models_of
        self._metrics = metrics
        self._fallback_after_s = fallback_after_s
        self._stop = stop
        self._breakers = {tier: CircuitBreaker(BreakerConfig(failures=1), time.monotonic) for tier in (SEASONAL, LEARNED)}
        self._down_reason: dict[int, str] = {}

    @property
    def state(self) -> BreakerState:
        """Return the state of the breaker that lets least through."""
        return max(breaker.state for breaker in self._breakers.values())

    def confirm(self, tenant: str, candidates: pa.RecordBatch, context: Context) -> Confirmation:
        """Ask about candidates of a tenant (schema `CANDIDATES`) until the tiers answer, each for at most `fallback_after_s`."""
        return _Round(_TenantTiers(self, self._models_of(tenant)), candidates, context).run()

    def ask(self, tier: int, call: Callable[[], Answer], rows: int) -> Answer | NoAnswer:
        """Call until there is an answer, for `fallback_after_s`; not at all while the breaker is open, once if half open."""
        breaker = self._breakers[tier]
        if not breaker.allows():
            return NoAnswer(self._down_reason[tier], may_answer_later=True, kind="late")
        trial = breaker.state is BreakerState.HALF_OPEN
        give_up_at = time.monotonic() + self._fallback_after_s
        while True:
            try:
                with self._metrics.scoring_s.labels(str(tier)).time():
                    answer = call()
            except ContractError as error:
                _lines.warn(f"refused {tier}", f"the scoring service refuses {rows} rows for tier {tier}: {error}")
                breaker.succeeded()
                return NoAnswer(f"refused by the scoring service: {error}", may_answer_later=False, kind="refused")
            except ModelNotFound as error:
                breaker.succeeded()
                return NoAnswer(str(error), may_answer_later=False, kind="missing")
            except Unavailable as error:
                self._down_reason[tier] = f"scoring service unavailable: {error}"
                if trial or time.monotonic() >= give_up_at or self._stop.wait(_RETRY_S):
                    breaker.failed()
                    _lines.warn(f"silent {tier}", f"tier {tier} does not answer: {error}")
                    return NoAnswer(self._down_reason[tier], may_answer_later=True, kind="late")
                self._metrics.beat("scorer")
            else:
                breaker.succeeded()
                self._metrics.asked.labels(str(tier)).inc(rows)
                return answer


@dataclass(frozen=True, slots=True)
class _TenantTiers:
    """The tiers with a tenant's models."""

    tiers: ConfirmingTiers
    models: Models

    def ask(self, tier: int, call: Callable[[Models], Answer], rows: int) -> Answer | NoAnswer:
        return self.tiers.ask(tier, lambda: call(self.models), rows)


class _Round:
    """One confirmation: the order of questions."""

    def __init__(self, tiers: _TenantTiers, candidates: pa.RecordBatch, context: Context) -> None:
        self._tiers = tiers
        self._candidates = candidates
        named = np.array([metric is not None for metric in candidates.column("metric").to_pylist()], dtype=np.bool_)
        confirmers = [route.confirmers for route in context.routes]
        self._seasonal_first = named & np.array([route[0] == SEASONAL for route in confirmers], dtype=np.bool_)
        self._has_season = named & np.array([SEASONAL in route for route in confirmers], dtype=np.bool_)
        self._scheduled = np.asarray(candidates.column("scheduled").to_numpy(zero_copy_only=False), dtype=np.bool_)
        self._unanswered: dict[int, NoAnswer] = {}
        self._opinions: dict[int, Opinion] = {}
        self._deferred = np.zeros(candidates.num_rows, dtype=np.bool_)

    def run(self) -> Confirmation:
        predicted: ScoredRows | None = None
        at_once = ~self._seasonal_first | self._scheduled
        if at_once.any():
            predicted = self._learned_with_predictions(at_once)
        due = self._is_late(LEARNED)
        if due:  # one service answers for both tiers: asking it again would only cost time
            self._unanswered[SEASONAL] = self._unanswered[LEARNED]
            self._deferred = np.ones_like(self._deferred)
            return self._confirmation(predicted, due)
        self._season(self._seasonal_first | (self._has_season & at_once & (LEARNED in self._unanswered)))
        self._learned_instead(self._seasonal_first & ~self._known(SEASONAL) & ~at_once)
        return self._confirmation(predicted, due)

    def _confirmation(self, predicted: ScoredRows | None, due: bool) -> Confirmation:
        return Confirmation(self._all_opinions(), predicted, self._deferred, due, self._unanswered)

    def _all_opinions(self) -> dict[int, Opinion]:
        """Return the opinions, those of tiers without an answer included: they say why."""
        count = self._candidates.num_rows
        silent = {tier: Opinion.unknown(count, missing.reason) for tier, missing in self._unanswered.items()}
        return {**silent, **self._opinions}

    def _is_late(self, tier: int) -> bool:
        return tier in self._unanswered and self._unanswered[tier].may_answer_later

    def _known(self, tier: int) -> BoolArray:
        if tier not in self._opinions:
            return np.zeros_like(self._deferred)
        return np.asarray(~np.isnan(self._opinions[tier].score))

    def _learned_with_predictions(self, where: BoolArray) -> ScoredRows | None:
        rows = self._candidates.filter(pa.array(where))
        answers = self._tiers.ask(LEARNED, lambda models: ask(models, rows), rows.num_rows)
        if isinstance(answers, Answers) and answers.scored is not None:
            self._opinions[LEARNED] = learned(answers.scored, where)
        elif isinstance(answers, Answers):
            self._unanswered[LEARNED] = NoAnswer(answers.missing, may_answer_later=False, kind="missing")
        else:
            self._unanswered[LEARNED] = answers
        return answers.predicted if isinstance(answers, Answers) else None

    def _season(self, where: BoolArray) -> None:
        if not where.any():
            return
        rows = self._candidates.filter(pa.array(where))
        answer = self._tiers.ask(SEASONAL, lambda models: ask_season(models, rows), rows.num_rows)
        if isinstance(answer, NoAnswer):
            self._unanswered[SEASONAL] = answer
            self._deferred |= where & self._seasonal_first & answer.may_answer_later
        else:
            self._opinions[SEASONAL] = seasonal(answer, where)

    def _learned_instead(self, where: BoolArray) -> None:
        """Ask tier 3 about rows of which tier 2 knows nothing."""
        if LEARNED in self._unanswered or not where.any():
            return
        rows = self._candidates.filter(pa.array(where))
        answer = self._tiers.ask(LEARNED, lambda models: ask_scores(models, rows), rows.num_rows)
        if isinstance(answer, NoAnswer):
            self._unanswered[LEARNED] = answer
            self._deferred |= where & answer.may_answer_later
            if LEARNED in self._opinions:
                self._opinions[LEARNED] = replace(self._opinions[LEARNED], silence=answer.reason)
            return
        more = learned(answer, where)
        self._opinions[LEARNED] = self._opinions[LEARNED].filled(more, where) if LEARNED in self._opinions else more
