"""What is refused of a body: how much for which reason, the first offending series with the rule; told to senders and counted."""

from dataclasses import dataclass, field
from typing import Final

from serving.ingest.receive.wire.decoded import RULES, Rule

BAD_NAME: Final = 32
TOO_MANY_LABELS: Final = 33
LABEL_TOO_LONG: Final = 34
SERIES_CAP: Final = 35
SAME_IDENTITY: Final = 36
OLD_TIME: Final = 48
FUTURE_TIME: Final = 49
_RULE: Final = 16
"""Reason of a rule of the wire format: 16 and its number."""

REASONS: Final = {
    **{_RULE + rule: rule.name.lower() for rule in Rule},
    BAD_NAME: "name",
    TOO_MANY_LABELS: "too_many_labels",
    LABEL_TOO_LONG: "label_too_long",
    SERIES_CAP: "series_limit",
    SAME_IDENTITY: "series_collision",
    OLD_TIME: "bad_timestamp",
    FUTURE_TIME: "future_timestamp",
}
"""Reasons as metrics name them."""


def reason_of(rule: Rule) -> int:
    """Return the reason of a rule of the wire format."""
    return _RULE + rule


def rule_text(rule: Rule) -> str:
    """Return a rule of the wire format in words."""
    return RULES[rule]


@dataclass(slots=True)
class Refusal:
    """One reason within one body: how much was refused, and the first of it in words: the series, the rule, the fix."""

    reason: int
    example: str
    points: int = 0
    histograms: int = 0
    exemplars: int = 0

    @property
    def total(self) -> int:
        """Return how much was refused."""
        return self.points + self.histograms + self.exemplars

    def text(self) -> str:
        """Return the refusal in words.

        >>> Refusal(SERIES_CAP, "cart|up: the tenant has 5 series", points=2).text()
        'series_limit: 2 samples; first: cart|up: the tenant has 5 series'
        """
        kinds = ((self.points, "samples"), (self.histograms, "histograms"), (self.exemplars, "exemplars"))
        counted = ", ".join(f"{count} {name if count > 1 else name[:-1]}" for count, name in kinds if count)
        return f"{REASONS[self.reason]}: {counted or 'a series without values'}; first: {self.example}"


@dataclass(slots=True)
class Receipt:
    """What became of a body. Written = on the broker, there already, or of the HA member that does not lead."""

    samples: int = 0
    histograms: int = 0
    exemplars: int = 0
    repeated: int = 0
    """Points and histograms that were there already, same value; they are among those written."""
    other_replica: int = 0
    """Points and histograms of the HA member that does not lead; they, and its exemplars, are among those written."""
    own_findings: int = 0
    """Points of metrics that the suite exports itself: it does not watch itself. They are among those written."""
    defined: int = 0
    """Series seen for the first time."""
    refusals: dict[int, Refusal] = field(default_factory=dict)
    """By reason."""

    @property
    def refused(self) -> int:
        """Return how many points, histograms and exemplars were refused."""
        return sum(refusal.total for refusal in self.refusals.values())

    @property
    def refused_points(self) -> int:
        """Return how many points and histograms were refused."""
        return sum(refusal.points + refusal.histograms for refusal in self.refusals.values())

    def text(self) -> str:
        """Return what was refused and why, in words; empty where nothing was."""
        return " | ".join(refusal.text() for refusal in self.refusals.values())

    def warning(self) -> str:
        """Return what was refused, and how much was there already, in words; empty where there is nothing to say.

        >>> Receipt(samples=5, repeated=2).warning()
        'repeated: 2 points were here already with the same value and count once'
        """
        words = ("1 point was", "counts") if self.repeated == 1 else (f"{self.repeated} points were", "count")
        again = f"repeated: {words[0]} here already with the same value and {words[1]} once" if self.repeated else ""
        return " | ".join(filter(None, (self.text(), again)))
