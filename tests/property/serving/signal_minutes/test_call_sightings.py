"""Whatever comes when, and whenever the lake fails: each call has its first and last sighting in the graph, within bounds."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from serving.signal_minutes.call_sightings import CallSightings, Pair
from tests.testing.call_series import KeptCalls, calls, end_us

Step = tuple[int, list[Pair], float, bool, bool]

services = st.sampled_from("abcde")
pairs = st.lists(st.tuples(services, services), max_size=6, unique=True)
steps = st.lists(st.tuples(st.integers(0, 500), pairs, st.floats(0, 1000), st.booleans(), st.booleans()), max_size=30)
"""Minute, calls seen in it, seconds that pass, whether the lake fails, whether there is a hurry."""


def run(given_steps: Sequence[Step], most: int) -> tuple[CallSightings, KeptCalls]:
    now_s, graph = [0.0], KeptCalls()
    seen = CallSightings(lambda _: graph, lambda: now_s[0], most)
    for minute, called, seconds, fails, hurry in given_steps:
        seen.add(calls(minute, called))
        now_s[0] += seconds
        graph.broken = OSError("lake away") if fails else None
        seen.keep(hurry)
        assert seen.waiting <= most
        assert seen.known <= most
    graph.broken = None
    seen.keep(hurry=True)
    return seen, graph


def expected(given_steps: Sequence[Step]) -> dict[Pair, set[int]]:
    times: dict[Pair, set[int]] = {}
    for minute, called, *_ in given_steps:
        for caller, callee in called:
            if caller != callee:
                times.setdefault((caller, callee), set()).add(end_us(minute))
    return times


@given(steps)
def test_with_room_every_call_has_its_first_and_its_last_sighting(given_steps: list[Step]) -> None:
    seen, graph = run(given_steps, most=20)
    assert graph.times() == {pair: (min(times), max(times)) for pair, times in expected(given_steps).items()}
    assert (seen.waiting, seen.left_out) == (0, 0)


@given(steps, st.integers(1, 5))
def test_without_room_nothing_is_kept_that_was_not_seen_and_what_is_missing_is_counted(
    given_steps: list[Step], most: int
) -> None:
    seen, graph = run(given_steps, most)
    times, kept = expected(given_steps), graph.times()
    assert all({first, last} <= times[pair] for pair, (first, last) in kept.items())
    missing = [pair for pair, at in times.items() if kept.get(pair) != (min(at), max(at))]
    assert len(missing) <= seen.left_out
