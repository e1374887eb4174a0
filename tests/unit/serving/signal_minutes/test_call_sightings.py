"""Calls that spans show: new ones kept at once, known ones now and then, the graph the same after a replay; bounded."""

import logging
from pathlib import Path

import pyarrow as pa
import pytest

from aiops.errors import StateError
from aiops.signals.edge_points import CALL_RATE
from aiops.signals.minute_series import MinutePoint, table_of
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.lake.parquet_lake import ParquetLake
from serving.signal_minutes.call_sightings import CallSightings
from serving.signal_minutes.partition_minutes import Closed
from serving.tables.graph_store import GraphStore
from tests.testing.call_series import FIRST, KeptCalls, calls, end_us
from tests.testing.clocks import SecondsClock

SHOP = ("shop", "cart")
PAY = ("shop", "pay")


def sightings(graph: KeptCalls, clock: SecondsClock, most: int = 100) -> CallSightings:
    return CallSightings(lambda _: graph, clock, most)


def test_a_new_call_is_kept_within_seconds_and_a_known_one_waits_a_quarter_of_an_hour() -> None:
    graph, clock = KeptCalls(), SecondsClock()
    seen = sightings(graph, clock)
    seen.add(calls(0, [SHOP]))
    seen.keep(hurry=False)
    assert graph.looks == [], "not yet due"
    clock.now_s += 10
    seen.keep(hurry=False)
    assert graph.looks == [{SHOP: (end_us(0), end_us(0))}]
    for minute in range(1, 15):
        clock.now_s += 60
        seen.add(calls(minute, [SHOP]))
        seen.keep(hurry=False)
    assert len(graph.looks) == 1, "readers need not look at the graph again"
    clock.now_s += 60
    seen.keep(hurry=False)
    assert graph.looks[1:] == [{SHOP: (end_us(1), end_us(14))}]


def test_a_new_call_brings_the_known_ones_of_its_tenant_along() -> None:
    graph, clock = KeptCalls(), SecondsClock()
    seen = sightings(graph, clock)
    for minute, pairs in enumerate([[SHOP], [SHOP, PAY]]):
        seen.add(calls(minute, pairs))
        clock.now_s += 10
        seen.keep(hurry=False)
    assert graph.looks[1] == {SHOP: (end_us(1), end_us(1)), PAY: (end_us(1), end_us(1))}


def test_in_a_hurry_everything_is_kept_at_once() -> None:
    graph, clock = KeptCalls(), SecondsClock()
    seen = sightings(graph, clock)
    seen.add(calls(0, [SHOP]))
    seen.keep(hurry=True)
    seen.add(calls(1, [SHOP]))
    seen.keep(hurry=True)
    assert graph.times() == {SHOP: (end_us(0), end_us(1))}
    assert seen.waiting == 0


def test_only_rates_of_calls_between_two_services_are_calls() -> None:
    graph, clock = KeptCalls(), SecondsClock()
    seen = sightings(graph, clock)
    seen.add(calls(0, [("cart", "cart")]))
    seen.add(calls(0, [PAY], rate=0.0))
    seen.add(Closed({"default": [table_of([MinutePoint(FIRST, "shop", "log.lines_per_second", 2.0, ("level", "info"))])]}))
    seen.add(Closed({"default": [table_of([MinutePoint(FIRST, "shop", CALL_RATE, 2.0)])]}))
    seen.keep(hurry=True)
    assert graph.looks == []
    seen.add(calls(0, [PAY]))
    seen.keep(hurry=True)
    assert graph.times() == {PAY: (end_us(0), end_us(0))}


def test_what_a_lake_did_not_take_is_tried_again_and_holds_up_no_other_tenant(caplog: pytest.LogCaptureFixture) -> None:
    broken, sound, clock = KeptCalls(), KeptCalls(), SecondsClock()
    broken.broken = StateError("edges: the file is damaged")
    graphs = {"acme": broken, "globex": sound}
    seen = CallSightings(graphs.__getitem__, clock)
    seen.add(calls(0, [SHOP], tenant="acme"))
    seen.add(calls(0, [PAY], tenant="globex"))
    with caplog.at_level(logging.WARNING):
        seen.keep(hurry=True)
    assert "calls of tenant acme are not kept yet: edges: the file is damaged" in caplog.text
    assert sound.times() == {PAY: (end_us(0), end_us(0))}
    broken.broken = None
    seen.add(calls(3, [SHOP], tenant="acme"))
    clock.now_s += 10
    seen.keep(hurry=False)
    assert broken.times() == {SHOP: (end_us(0), end_us(3))}


def test_calls_for_which_there_is_no_room_are_left_out_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    graph, clock = KeptCalls(), SecondsClock()
    graph.broken = OSError(28, "No space left on device")
    seen = sightings(graph, clock, most=2)
    with caplog.at_level(logging.WARNING):
        seen.add(calls(0, [("a", "b"), ("a", "c"), ("a", "d")]))
        seen.keep(hurry=True)
        seen.add(calls(1, [("a", "b"), ("a", "d")]))
    assert (seen.waiting, seen.left_out) == (2, 2)
    assert "1 sightings of calls are left out: 2 wait for the graph" in caplog.text
    graph.broken = None
    seen.keep(hurry=False)
    seen.add(calls(2, [("a", "d")]))
    seen.keep(hurry=True)
    assert graph.times() == {
        ("a", "b"): (end_us(0), end_us(1)),
        ("a", "c"): (end_us(0), end_us(0)),
        ("a", "d"): (end_us(2), end_us(2)),
    }


def test_a_full_room_is_emptied_without_waiting_for_its_time() -> None:
    graph, clock = KeptCalls(), SecondsClock()
    seen = sightings(graph, clock, most=2)
    seen.add(calls(0, [("a", "b"), ("a", "c")]))
    seen.keep(hurry=False)
    assert seen.waiting == 0
    assert len(graph.times()) == 2


def test_the_graph_is_the_same_after_a_replay(tmp_path: Path) -> None:
    def history(times: int) -> pa.Table:
        graph = GraphStore(ParquetLake(tmp_path / f"{times} times", DEFAULT_TENANT))
        for _ in range(times):
            seen = CallSightings(lambda _: graph, SecondsClock())
            for minute in range(3):
                seen.add(calls(minute, [SHOP, PAY]))
                seen.keep(hurry=True)
        return graph.history()

    once = history(1)
    assert once.num_rows == 2
    assert history(2).equals(once)


def test_without_a_graph_nothing_is_held() -> None:
    seen = CallSightings(None, SecondsClock())
    seen.add(calls(0, [SHOP]))
    seen.keep(hurry=True)
    assert seen.waiting == 0
