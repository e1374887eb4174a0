"""What a gate says: every failed check in words, every figure as a number or as unknown."""

import math
from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, str]] = {
    "scores_in_0_to_1": "a score is missing or outside 0..1",
    "unknown_stays_unknown": "a row with nothing known got a score",
    "deterministic": "the same rows got different scores, or the input was changed",
    "round_trip_equal": "the saved and loaded model scores differently",
    "within_latency_budget": "one row takes too long",
    "recall_kept_at_budget": "it catches fewer incidents at the same alert budget",
    "recall_kept_as_shipped": "at its shipped threshold it catches fewer incidents than the champion does within the budget",
    "beats_baseline": "it does not beat the trivial baseline",
    "better_somewhere": "at equal recall it is better on no figure",
    "keeps_page_budget": "no labelled incident is there to judge it by, and it spends more than the page budget, not by chance",
}
"""What it means when a check of a model of service vectors fails."""
LEVEL_WORDS: Final[Mapping[str, str]] = {
    "levels_are_finite": "an alarm level is missing or not finite",
    "recall_kept": "it catches fewer incidents than the levels in force",
    "better_somewhere": "it catches no more incidents than the levels in force, and sends no fewer false pages",
}
"""What it means when a check of tier 1's alarm levels fails."""


def figure(value: float, digits: int = 3) -> str:
    """Return a figure as people read it.

    >>> figure(0.25), figure(float("nan"))
    ('0.250', 'unknown')
    """
    return f"{value:.{digits}f}" if math.isfinite(value) else "unknown"


def outcome(promoted: bool, checks: Mapping[str, bool], figures: str, words: Mapping[str, str] = WORDS) -> str:
    """Return the decision: promoted, or refused and why; then the figures."""
    failed = "; ".join(words[name] for name, passed in checks.items() if not passed)
    return f"promoted: {figures}" if promoted else f"refused, because {failed}: {figures}"
