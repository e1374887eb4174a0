"""Whether a stream is one of log lines: free prose and binary data are refused, with the figure and the rule."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FitRules:
    """Limits of a stream that has templates. `warm_up_lines` are read before it is judged, then again at four times
    as many, and so on.

    `alone_share`: lines that are alone in their template, of all lines. The logs of 8 public sets have at most .07 of these in
    2,000 lines, sentences of free prose nearly 1. `unprintable_share`: control bytes, of all bytes.
    """

    warm_up_lines: int = 1000
    alone_share: float = 0.5
    unprintable_share: float = 0.05


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why a stream is refused: the rule that it breaks, its figure, the limit, and after how many lines."""

    rule: str
    figure: float
    limit: float
    lines: int

    def __str__(self) -> str:
        return f"refused after {self.lines} lines: {self.rule} is {self.figure:.2f}, the limit is {self.limit:.2f}"


@dataclass(slots=True)
class StreamCounts:
    """What was read of a stream so far."""

    lines: int = 0
    bytes: int = 0
    unprintable: int = 0

    def judged(self, alone: int, rules: FitRules) -> Unfit | None:
        """Return why the stream does not fit, given the lines alone in their template; None = it fits or is too short."""
        if self.lines < rules.warm_up_lines:
            return None
        unprintable = self.unprintable / max(self.bytes, 1)
        if unprintable > rules.unprintable_share:
            return Unfit("the share of control bytes", unprintable, rules.unprintable_share, self.lines)
        if alone / self.lines > rules.alone_share:
            return Unfit("the share of lines that are alone in their template", alone / self.lines, rules.alone_share, self.lines)
        return None
