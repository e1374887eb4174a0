"""The call graph over time: what was seen decides, not the order or the number of times it was reported."""

from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.errors import ContractError
from aiops.topology.graph import ORIGINS, ServiceGraph
from aiops.topology.graph_history import ALWAYS, calls_at, declared, history_of, intervals, observed, replaced
from data_contracts.schemas.telemetry_schemas import EDGES

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FORGET = timedelta(minutes=10)
EMPTY = EDGES.empty_table()
NAMES = st.sampled_from("abcd")
PAIRS = st.lists(st.tuples(NAMES, NAMES, st.integers(1, 9)), min_size=1, max_size=5)
LOOKS = st.lists(st.tuples(st.integers(0, 60), PAIRS, st.sampled_from(("traces", "learned"))), min_size=1, max_size=6)
Look = tuple[int, list[tuple[str, str, int]], str]


def minute(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def seen(*calls: tuple[Any, ...]) -> pa.Table:
    """Return sightings: (caller, callee[, weight[, first minute, last minute]])."""
    rows = [{"caller": call[0], "callee": call[1], "weight": float(call[2]) if len(call) > 2 else None} for call in calls]
    for row, call in zip(rows, calls, strict=True):
        if len(call) > 3:
            row |= {"first_at": minute(call[3]), "last_at": minute(call[4])}
    return (
        pa.Table.from_pylist(rows)
        if rows
        else pa.table({"caller": pa.array([], pa.string()), "callee": pa.array([], pa.string())})
    )


def observed_in(looks: list[Look], history: pa.Table = EMPTY) -> pa.Table:
    for at, calls, origin in looks:
        history = observed(history, seen(*calls), minute(at), origin, FORGET)
    return history


@given(LOOKS, st.randoms(use_true_random=False))
def test_the_order_of_looks_does_not_matter_nor_does_a_repeated_look(looks: list[Look], random: Any) -> None:
    looks = [look for look in looks if any(caller != callee for caller, callee, _ in look[1])]
    other = looks + looks[: len(looks) // 2]
    random.shuffle(other)
    assert observed_in(other).equals(observed_in(looks))


@given(LOOKS)
def test_what_was_seen_was_there_then_and_is_forgotten_in_time(looks: list[Look]) -> None:
    # A look that saw no call between two services leaves nothing that one reported after it could be compared with.
    looks = [look for look in looks if any(caller != callee for caller, callee, _ in look[1])]
    history = observed_in(looks)
    times: dict[tuple[str, str], set[int]] = {}
    for at, calls, _ in looks:
        for caller, callee, _ in calls:
            times.setdefault((caller, callee), set()).add(at)
    for at in range(-1, 75):
        then = set(ServiceGraph.from_edges(history, minute(at), learned=True).calls())
        for pair, when in times.items():
            near = any(0 <= at - seen_min < 10 for seen_min in when)
            between = any(seen_min <= at <= other and other - seen_min <= 10 for seen_min, other in pairwise(sorted(when)))
            last = max(when)
            ended = max(look[0] for look in looks) - last > 10
            expected = pair[0] != pair[1] and (near or between or (at >= last and not ended))
            # Two origins keep intervals of their own, so one that they only see together may have a gap in either.
            if len({origin for _, _, origin in looks}) == 1:
                assert (pair in then) == expected, (pair, at)
            elif near and pair[0] != pair[1]:
                assert pair in then


@given(LOOKS, st.one_of(st.none(), st.integers(-1, 75)), st.booleans())
def test_calls_with_their_times_are_those_of_the_graph(looks: list[Look], at: int | None, learned: bool) -> None:
    history, moment = observed_in(looks), None if at is None else minute(at)
    graph = ServiceGraph.from_edges(history, moment, learned)
    rows = calls_at(history, moment, learned)
    assert tuple(row.pair for row in rows) == graph.calls()
    assert [(row.origin, row.weight) for row in rows] == [
        (graph.origin_of(*pair), graph.weight_of(*pair)) for pair in graph.calls()
    ]


@given(LOOKS)
def test_intervals_of_one_call_by_one_origin_never_overlap(looks: list[Look]) -> None:
    rows = intervals(observed_in(looks))
    for earlier, later in pairwise(rows):
        if (earlier.pair, earlier.origin) == (later.pair, later.origin):
            assert earlier.valid_to is not None
            assert earlier.valid_to <= later.valid_from
    assert all(row.valid_to is None or row.valid_from < row.valid_to for row in rows)
    assert all(row.caller != row.callee for row in rows)


@given(LOOKS, st.lists(st.sets(st.tuples(NAMES, NAMES)), min_size=1, max_size=4))
def test_what_one_origin_says_leaves_what_another_said(looks: list[Look], words: list[set[tuple[str, str]]]) -> None:
    history, apart = observed_in(looks), EMPTY
    for at, calls in enumerate(words):
        history = declared(history, calls, minute(at), "configuration")
        apart = declared(apart, calls, minute(at), "configuration")
        assert declared(history, calls, minute(at), "configuration").equals(history)
        present = {pair for pair in calls if pair[0] != pair[1]}
        assert set(ServiceGraph.from_edges(apart).calls()) == present
        graph = ServiceGraph.from_edges(history, learned=True)
        assert all(graph.origin_of(*pair) == "configuration" for pair in present)
    assert history.num_rows == observed_in(looks).num_rows + apart.num_rows
    assert history_of(intervals(history)).equals(history)
    assert replaced(history, EMPTY, "configuration").equals(observed_in(looks))


@given(LOOKS)
def test_neither_a_learned_call_nor_one_that_ended_changes_what_belongs_together(looks: list[Look]) -> None:
    history = observed_in([look for look in looks if look[2] == "traces"])
    before = ServiceGraph.from_edges(history)
    later = observed(history, seen(("y", "z")), minute(1000), "traces", FORGET)
    assert set(ServiceGraph.from_edges(later).calls()) == {("y", "z")}, "all others have ended"
    every_pair = ((caller, callee) for caller in "abcdyzn" for callee in "abcdyzn")
    learned = observed(later, seen(*every_pair), minute(1001), "learned", FORGET)
    graphs = [ServiceGraph.from_edges(table, learned=flag) for table in (later, learned) for flag in (False, True)]
    for first, second in combinations("abcd", 2):
        together = {graph.component_of(first) == graph.component_of(second) for graph in (before, *graphs)}
        assert len(together) == 1


def test_the_past_is_kept() -> None:
    history = declared(EMPTY, [("web", "cart"), ("cart", "web"), ("cart", "old")], minute(0), "table")
    assert {row.valid_from for row in intervals(history)} == {ALWAYS}
    history = declared(history, [("web", "cart"), ("cart", "new")], minute(10), "table")
    history = declared(history, [("web", "cart"), ("cart", "old")], minute(20), "table")
    at = {number: ServiceGraph.from_edges(history, minute(number)).calls() for number in (0, 9, 10, 20)}
    assert at[0] == at[9] == (("cart", "old"), ("cart", "web"), ("web", "cart")), "a cycle is fine"
    assert at[10] == (("cart", "new"), ("web", "cart"))
    assert at[20] == ServiceGraph.from_edges(history).calls() == (("cart", "old"), ("web", "cart"))
    assert [row.valid_from for row in intervals(history) if row.callee == "old"] == [ALWAYS, minute(20)]


def test_the_last_word_at_one_time_counts() -> None:
    history = declared(EMPTY, [("a", "b")], minute(0), "table")
    history = declared(history, [("a", "c")], minute(5), "table")
    history = declared(history, [("a", "b")], minute(5), "table")
    assert [(row.pair, row.valid_to) for row in intervals(history)] == [(("a", "b"), None)]


def test_the_most_trusted_origin_gives_a_call_its_mark() -> None:
    history = EMPTY
    for origin in reversed(ORIGINS):
        history = observed(history, seen(("a", "b", 3)), minute(0), origin, FORGET)
        graph = ServiceGraph.from_edges(history, learned=True)
        assert (graph.origin_of("a", "b"), graph.weight_of("a", "b")) == (origin, 3.0)
    assert graph.origin_of("b", "a") is None
    assert graph.weight_of("b", "a") is None


def test_a_stretch_of_sightings_counts_from_its_first_to_its_last() -> None:
    history = observed(EMPTY, seen(("a", "b", 40, 0, 30), ("a", "c", 2, 5, 5)), minute(30), "traces", FORGET)
    (kept, ended) = intervals(history)
    assert (kept.valid_from, kept.seen_at, kept.valid_to, kept.weight) == (minute(0), minute(30), None, 40.0)
    assert (ended.valid_from, ended.seen_at, ended.valid_to) == (minute(5), minute(5), minute(15))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda: observed(EMPTY, seen(("a", "b")), minute(0), "gossip", FORGET), "origin 'gossip' is unknown; choose one of"),
        (lambda: observed(EMPTY, seen(("a", "b")), minute(0), "traces", timedelta(0)), "forget_after is 0:00:00"),
        (lambda: observed(EMPTY, seen(("a", "b", 1, 3, 5)), minute(4), "traces", FORGET), "not after the look"),
        (lambda: observed(EMPTY, pa.table({"caller": ["a"]}), minute(4), "traces", FORGET), "column 'callee' is missing"),
        (lambda: observed(EMPTY, seen(), datetime(2026, 3, 1), "traces", FORGET), "no time zone"),  # noqa: DTZ001
        (
            lambda: declared(observed(EMPTY, seen(("a", "b")), minute(5), "table", FORGET), [], minute(0), "table"),
            "declarations go forward in time",
        ),
    ],
)
def test_what_cannot_be_is_refused(change: Any, says: str) -> None:
    with pytest.raises(ContractError, match=says):
        change()
