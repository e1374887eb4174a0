"""Critical path of one trace: the spans that its root's duration is made of, from the last to end back to the first to begin.

What is measured by several clocks and sent by several programs is mended or counted, never guessed: a callee whose clock differs
is moved into its caller's time; what goes on after its caller ended, and what a consumer does, blocks nobody; a span whose parent
is not there hangs nowhere. Pure Python, O(spans x log spans), no recursion: traces of 10,000 spans and more.

Sources: Zhang et al. 2022, CRISP: Critical Path Analysis of Large-Scale Microservice Architectures, USENIX ATC, sec. 3; Jaeger's
clock-skew adjuster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

TraceRole = Literal["failed", "slow", "normal"]
"""Why a trace is kept as an example."""
MOST_STEPS: Final = 30
"""Steps of a path that are kept, those that take longest."""
_CONSUMER: Final = "consumer"


@dataclass(frozen=True, slots=True)
class TraceSpan:
    """One span: ids ("" = no parent), service, operation, kind as received, begin and end in us since 1970, whether it failed."""

    span_id: str
    parent_id: str
    service: str
    operation: str
    kind: str
    start_us: int
    end_us: int
    failed: bool


@dataclass(frozen=True, slots=True)
class PathStep:
    """A stretch of time that the trace waited for one span, and not for one that it called."""

    service: str
    """service of the span"""
    operation: str
    """operation of the span"""
    start_ms: float
    """when it begins, after the begin of the trace"""
    self_ms: float
    """how long it takes"""
    failed: bool
    """whether the span failed"""


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """The path of the longest root. `steps` in order of time; what the trace holds besides is counted."""

    steps: tuple[PathStep, ...]
    """stretches of time, in order, the longest ones of them"""
    left_out_ms: float
    """time of shorter steps that are not listed"""
    spans: int
    """spans of the trace"""
    orphans: int
    """spans below a parent that is not there, or below another root"""
    moved: int
    """spans whose clock differed: moved into the time of their caller"""
    asynchronous: int
    """spans that nobody waited for: of consumers, or going on after their caller"""


@dataclass(frozen=True, slots=True)
class _Placed:
    """A span with its begin and end by the clock of its root."""

    span: TraceSpan
    start_us: int
    end_us: int


@dataclass(slots=True)
class _Counts:
    reached: int = 0
    moved: int = 0
    asynchronous: int = 0


def root_of(spans: Sequence[TraceSpan]) -> TraceSpan | None:
    """Return the longest span whose parent is not there, the first of equal ones; None without a span."""
    ids = {span.span_id for span in spans}
    roots = [span for span in spans if span.parent_id not in ids or span.parent_id == span.span_id]
    return max(roots or spans, key=lambda span: (span.end_us - span.start_us, -span.start_us, span.span_id), default=None)


def critical_path(spans: Sequence[TraceSpan], most_steps: int = MOST_STEPS) -> CriticalPath:
    """Return the critical path of a trace; a span repeated counts once."""
    once = list({span.span_id: span for span in reversed(spans)}.values())[::-1]
    root = root_of(once)
    if root is None:
        return CriticalPath((), 0.0, 0, 0, 0, 0)
    below: dict[str, list[TraceSpan]] = {}
    for span in once:
        if span is not root and span.parent_id != span.span_id:
            below.setdefault(span.parent_id, []).append(span)
    counts = _Counts()
    children = _placed_below(root, below, counts)
    steps = _steps(root, children)
    longest = sorted(steps, key=lambda step: (-step.self_ms, step.start_ms))
    kept = sorted(longest[:most_steps], key=lambda step: step.start_ms)
    left_out = round(sum(step.self_ms for step in longest[most_steps:]), 3)
    return CriticalPath(tuple(kept), left_out, len(once), len(once) - counts.reached, counts.moved, counts.asynchronous)


def _placed_below(root: TraceSpan, below: dict[str, list[TraceSpan]], counts: _Counts) -> dict[str, list[_Placed]]:
    """Return, by span, the spans below it that it waits for, by the clock of the root, within its own time."""
    children: dict[str, list[_Placed]] = {}
    waiting = [(_Placed(root, root.start_us, root.end_us), 0)]
    while waiting:
        parent, shift = waiting.pop()
        counts.reached += 1
        for span in below.get(parent.span.span_id, ()):
            placed, own = _within(parent, span, shift)
            if placed is None or span.kind == _CONSUMER:
                counts.asynchronous += 1
                counts.reached += _size(span, below)
                continue
            counts.moved += own != shift
            children.setdefault(parent.span.span_id, []).append(placed)
            waiting.append((placed, own))
    return children


def _within(parent: _Placed, span: TraceSpan, shift: int) -> tuple[_Placed | None, int]:
    """Return a callee within the time of its caller and how far it was moved; None where it is not waited for.

    The clock of another service may differ: a callee that fits into its caller is moved by as little as makes it lie within it.
    What is of the same service has the same clock: it goes on by itself once its caller ended.
    """
    start, end = span.start_us + shift, span.end_us + shift
    if parent.start_us <= start and end <= parent.end_us:
        return _Placed(span, start, end), shift
    length = end - start
    if span.service != parent.span.service and length <= parent.end_us - parent.start_us:
        moved = min(max(start, parent.start_us), parent.end_us - length)
        return _Placed(span, moved, moved + length), shift + moved - start
    if start >= parent.end_us or end > parent.end_us:
        return None, shift
    return _Placed(span, max(start, parent.start_us), max(end, parent.start_us)), shift


def _size(span: TraceSpan, below: dict[str, list[TraceSpan]]) -> int:
    """Return how many spans lie below a span, itself included."""
    waiting, count = [span], 0
    while waiting:
        count += 1
        waiting.extend(below.get(waiting.pop().span_id, ()))
    return count


def _steps(root: TraceSpan, children: dict[str, list[_Placed]]) -> list[PathStep]:
    """Return every stretch of the path, from the end of the root back to its begin."""
    steps: list[PathStep] = []
    whole = _Placed(root, root.start_us, root.end_us)
    waiting: list[tuple[_Placed, int, list[_Placed]]] = [(whole, whole.end_us, _by_end(children, root))]
    while waiting:
        span, until, left = waiting.pop()
        while left and left[-1].end_us > until:
            left.pop()  # another one that ended later was waited for at this time
        called = left.pop() if left else None
        begin = span.start_us if called is None else called.end_us
        if until > begin:
            steps.append(_step(span, begin, until, root))
        if called is not None:
            waiting.append((span, called.start_us, left))
            waiting.append((called, called.end_us, _by_end(children, called.span)))
    return steps


def _by_end(children: dict[str, list[_Placed]], span: TraceSpan) -> list[_Placed]:
    return sorted(children.get(span.span_id, ()), key=lambda child: (child.end_us, -child.start_us, child.span.span_id))


def _step(span: _Placed, begin: int, end: int, root: TraceSpan) -> PathStep:
    start_ms, self_ms = (begin - root.start_us) / 1000, (end - begin) / 1000
    return PathStep(span.span.service, span.span.operation, start_ms, self_ms, span.span.failed)
