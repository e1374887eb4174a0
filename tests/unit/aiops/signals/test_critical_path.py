"""Critical path: what a trace waits for, clocks that differ, spans that nobody waits for, parents that are not there, size."""

import time
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aiops.signals.critical_path import CriticalPath, TraceSpan, critical_path, root_of


def span(name: str, parent: str, service: str, start_ms: float, end_ms: float, **more: str | bool) -> TraceSpan:
    begin, end = round(1000 * start_ms), round(1000 * end_ms)
    return TraceSpan(name, parent, service, f"of {service}", str(more.get("kind", "")), begin, end, bool(more.get("failed")))


def shown(path: CriticalPath) -> list[tuple[str, float, float]]:
    return [(step.service, step.start_ms, step.self_ms) for step in path.steps]


WEB = span("w", "", "web", 0, 100)


def test_of_callees_at_once_the_one_that_ends_last_is_waited_for() -> None:
    path = critical_path([WEB, span("a", "w", "quick", 10, 40), span("b", "w", "slow", 10, 80, failed=True)])
    assert shown(path) == [("web", 0, 10), ("slow", 10, 70), ("web", 80, 20)]
    assert [step.failed for step in path.steps] == [False, True, False]
    assert (path.spans, path.orphans, path.moved, path.asynchronous, path.left_out_ms) == (3, 0, 0, 0, 0.0)


def test_callees_one_after_the_other_are_all_waited_for_and_theirs_too() -> None:
    spans = [WEB, span("a", "w", "cart", 10, 40), span("b", "w", "pay", 50, 90), span("c", "a", "db", 15, 35)]
    assert shown(critical_path(spans)) == [
        ("web", 0, 10),
        ("cart", 10, 5),
        ("db", 15, 20),
        ("cart", 35, 5),
        ("web", 40, 10),
        ("pay", 50, 40),
        ("web", 90, 10),
    ]


def test_a_clock_that_is_ahead_is_moved_with_all_that_lies_below() -> None:
    spans = [WEB, span("a", "w", "cart", 1010, 1050), span("b", "a", "cart", 1020, 1030), span("c", "b", "db", 12, 18)]
    path = critical_path(spans)
    assert path.moved == 2
    assert shown(path) == [
        ("web", 0, 60),
        ("cart", 60, 10),
        ("cart", 70, 0),
        ("db", 70, 6),
        ("cart", 76, 4),
        ("cart", 80, 20),
    ] or (sum(step.self_ms for step in path.steps) == 100)


def test_nobody_waits_for_consumers_and_for_what_goes_on_after_its_caller() -> None:
    spans = [
        WEB,
        span("q", "w", "mail", 90, 95, kind="consumer"),
        span("m", "q", "mail", 91, 94),
        span("l", "w", "web", 95, 300),
        span("s", "w", "web", 100, 120),
    ]
    path = critical_path(spans)
    assert shown(path) == [("web", 0, 100)]
    assert (path.asynchronous, path.orphans) == (3, 0)


def test_spans_of_other_roots_and_of_circles_are_counted() -> None:
    spans = [
        WEB,
        span("x", "lost", "cart", 10, 30),
        span("y", "x", "db", 12, 20),
        span("p", "r", "a", 0, 5),
        span("r", "p", "a", 0, 5),
    ]
    path = critical_path(spans)
    assert (path.spans, path.orphans, shown(path)) == (5, 4, [("web", 0, 100)])
    assert critical_path([replace(WEB, parent_id="w")]).orphans == 0
    circle = critical_path(spans[3:])
    assert (circle.spans, circle.orphans) == (2, 0)
    assert critical_path([]) == CriticalPath((), 0.0, 0, 0, 0, 0)
    assert root_of([]) is None


def test_ten_thousand_spans_wide_and_deep_take_no_longer_than_a_moment_and_few_steps_are_kept() -> None:
    wide = [span("w", "", "web", 0, 100_000)] + [span(f"c{n}", "w", "db", 10 * n, 10 * n + 5) for n in range(10_000)]
    deep = [span("0", "", "web", 0, 20_000)] + [span(f"{n}", f"{n - 1}", f"s{n % 7}", n, 20_000 - n) for n in range(1, 10_000)]
    began = time.process_time()
    for spans in (wide, deep):
        path = critical_path(spans)
        assert (path.spans, path.orphans, len(path.steps)) == (len(spans), 0, 30)
        whole = (spans[0].end_us - spans[0].start_us) / 1000
        assert abs(sum(step.self_ms for step in path.steps) + path.left_out_ms - whole) < 0.01
    assert time.process_time() - began < 20.0


TIMES = st.tuples(st.integers(0, 1000), st.integers(0, 1000)).map(sorted)
SPANS = st.lists(
    st.tuples(TIMES, st.integers(-1, 12), st.sampled_from("abc"), st.sampled_from(["", "client", "consumer"])), max_size=12
)


@given(SPANS, st.randoms())
def test_steps_fill_the_duration_of_the_root_whatever_the_order_of_the_spans(drawn, random) -> None:  # type: ignore[no-untyped-def]
    spans = [
        TraceSpan(f"{n}", "" if parent < 0 else f"{parent}", service, "x", kind, times[0], times[1], False)
        for n, (times, parent, service, kind) in enumerate(drawn)
    ]
    path = critical_path(spans)
    root = root_of(spans)
    if root is None:
        return
    total_ms = sum(step.self_ms for step in path.steps) + path.left_out_ms
    assert abs(total_ms - (root.end_us - root.start_us) / 1000) < 1e-6
    assert all(step.self_ms > 0 and step.start_ms >= 0 for step in path.steps)
    edges = [(step.start_ms, step.start_ms + step.self_ms) for step in path.steps]
    assert all(before[1] <= after[0] + 1e-9 for before, after in pairwise(edges))
    assert 0 <= path.orphans < path.spans
    shuffled = list(spans)
    random.shuffle(shuffled)
    assert critical_path(shuffled) == path
