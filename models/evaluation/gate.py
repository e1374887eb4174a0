"""The gate: a challenger is replayed beside the champion and promoted only if nothing that matters is lost."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from aiops.errors import ConfigurationError
from aiops.settings.model_settings import ModelSettings
from aiops.types import GateDecision, Scorecard
from models.evaluation.gate_outcome import figure, outcome
from models.evaluation.scorecard import Replay, Replayable, contract_checks, latency_ms, score_on
from models.vectors.page_budget import PageBudget


@dataclass(frozen=True, slots=True)
class GateConfig:
    """Budget of false pages, latency budget (p99 of one row), and whether a first model may skip the trivial baseline."""

    budget: PageBudget = field(default_factory=PageBudget)
    latency_budget_ms: float = 10.0
    allow_first: bool = False
    latency_calls: int = 300

    @classmethod
    def of(cls, settings: ModelSettings, allow_first: bool = False) -> "GateConfig":
        """Return the gate of the settings."""
        return cls(PageBudget(settings.page_budget_per_day), settings.latency_budget_ms, allow_first)


@dataclass(frozen=True, slots=True)
class Contender:
    """A model and the version it is, or would be, registered as."""

    model: Replayable
    version: str


def decide(
    challenger: Contender,
    champion: Contender | None,
    replay: Replay,
    config: GateConfig,
    clock: Callable[[], float] = time.perf_counter,
) -> GateDecision:
    """Return the decision with both scorecards, every check, and the reason in words and numbers.

    The challenger must keep the contracts and the latency budget. Against a champion it may lose no recall at the same alert
    budget, nor at its own threshold (what a champion only catches by overspending does not count); at equal recall it must be
    better on the first figure that differs: pages beyond the budget as shipped, PR-AUC, false pages. A first model must beat
    the trivial baseline, or keep the page budget (as far as so short a replay can tell) where the replay has no incident, unless
    `allow_first`.

    Raises:
        ConfigurationError: the replay has no rows.
    """
    if not len(replay.rows):
        raise ConfigurationError("the gate's replay has 0 rows; give labelled rows that the models were not trained on")
    card = _with_latency(score_on(challenger.model, challenger.version, replay, config.budget), challenger, replay, config, clock)
    checks = contract_checks(challenger.model, replay.rows)
    checks["within_latency_budget"] = card.metrics["latency_p99_ms"] <= config.latency_budget_ms
    other = None
    if champion is None:
        if not config.allow_first:
            checks |= _first(card, config.budget)
    else:
        other = score_on(champion.model, champion.version, replay, config.budget)
        checks |= _against(card, other, config.budget)
    promoted = all(checks.values())
    return GateDecision(promoted, _reason(promoted, card, other, checks), card, other, checks)


def _with_latency(
    card: Scorecard, contender: Contender, replay: Replay, config: GateConfig, clock: Callable[[], float]
) -> Scorecard:
    taken = latency_ms(contender.model, replay.rows.matrix(contender.model.features), config.latency_calls, clock)
    quantiles = {"latency_p50_ms": float(np.quantile(taken, 0.5)), "latency_p99_ms": float(np.quantile(taken, 0.99))}
    return Scorecard(card.model, card.version, {**card.metrics, **quantiles})


def _first(card: Scorecard, budget: PageBudget) -> dict[str, bool]:
    """Return the check of a first model: the trivial baseline, or the page budget where no incident can tell them apart."""
    if card.metrics["incidents"]:
        return {"beats_baseline": _beats_baseline(card)}
    return {"keeps_page_budget": card.metrics["false_pages_shipped_least"] <= budget.per_day}


def _beats_baseline(card: Scorecard) -> bool:
    recall, trivial = card.metrics["recall_at_budget"], card.metrics["baseline_recall_at_budget"]
    return recall > trivial or (recall == trivial and card.metrics["pr_auc"] > card.metrics["baseline_pr_auc"])


def _overspent(card: Scorecard, budget: PageBudget) -> float:
    return max(0.0, card.metrics["false_pages_shipped"] - budget.per_day)


def _against(card: Scorecard, champion: Scorecard, budget: PageBudget) -> dict[str, bool]:
    ours, theirs = card.metrics, champion.metrics
    kept = not ours["recall_at_budget"] < theirs["recall_at_budget"]
    owed = theirs["recall_shipped"]
    if _overspent(champion, budget) > _overspent(card, budget):
        owed = min(owed, theirs["recall_at_budget"])
    return {
        "recall_kept_at_budget": kept,
        "recall_kept_as_shipped": not ours["recall_shipped"] < owed,
        "better_somewhere": ours["recall_at_budget"] > theirs["recall_at_budget"] or _better_tie(card, champion, budget),
    }


def _better_tie(card: Scorecard, champion: Scorecard, budget: PageBudget) -> bool:
    """Return whether the first that differs is better: overspending (beyond a tenth of the budget), PR-AUC, false pages."""
    saved = _overspent(champion, budget) - _overspent(card, budget)
    if abs(saved) > 0.1 * budget.per_day:
        return saved > 0
    ours, theirs = card.metrics, champion.metrics
    if math.isfinite(ours["pr_auc"]) and ours["pr_auc"] != theirs["pr_auc"]:
        return ours["pr_auc"] > theirs["pr_auc"]
    return ours["false_pages_shipped"] < theirs["false_pages_shipped"]


def _reason(promoted: bool, card: Scorecard, champion: Scorecard | None, checks: Mapping[str, bool]) -> str:
    ours = card.metrics
    beside, theirs = "trivial baseline", {name: ours[f"baseline_{name}"] for name in ("recall_at_budget", "pr_auc")}
    if champion is not None:
        beside, theirs = f"champion {champion.version}", dict(champion.metrics)
    pages = f"false pages a day and service as shipped {ours['false_pages_shipped']:.2f}"
    if champion is not None:
        pages += f" ({theirs['false_pages_shipped']:.2f})"
    ranking = "no labelled incident to tell recall by"
    if ours["incidents"]:
        ranking = (
            f"recall at the budget {figure(ours['recall_at_budget'])} ({beside}: {figure(theirs['recall_at_budget'])}) "
            f"of {ours['incidents']:.0f} incidents, PR-AUC {figure(ours['pr_auc'])} ({figure(theirs['pr_auc'])}, "
            f"base rate {figure(ours['base_rate'], 4)})"
        )
    return outcome(promoted, checks, f"{ranking}, {pages}, p99 of one row {ours['latency_p99_ms']:.2f} ms")
