"""Requests in the order in which they became available, whatever the clock's steps."""

from collections.abc import Iterator
from datetime import timedelta

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.replay.request_reader import RequestReader
from aiops.simulator.simulate import simulate
from aiops.simulator.simulation_config import SimulationConfig
from aiops.types import RequestRows
from data_contracts.values.moments import microseconds_of

CONFIG = SimulationConfig(seed=5, services=4, hours=12.0, incidents_per_day=0.0, traces_per_min=0.5)
SIMULATION = simulate(CONFIG)
START_US = microseconds_of(CONFIG.start)
END_US = START_US + 13 * 3_600_000_000


def times(table: pa.Table) -> list[int]:
    return [int(at) for at in table["available_at"].cast(pa.int64()).to_pylist()]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 12 * 3600), max_size=6))
def test_each_row_comes_once_in_order_and_never_before_it_is_known(cuts_s: list[int]) -> None:
    reader = RequestReader(SIMULATION.requests())
    spans: list[str] = []
    lines = 0
    before_us = -1
    for cut_us in [*(START_US + 1_000_000 * second for second in sorted(cuts_s)), END_US]:
        rows = reader.until(cut_us)
        for table in () if rows is None else (rows.logs, rows.spans):
            known = times(table)
            assert known == sorted(known)
            assert all(before_us <= at < cut_us for at in known)
        spans += [] if rows is None else rows.spans["span_id"].to_pylist()
        lines += 0 if rows is None else rows.logs.num_rows
        before_us = cut_us
    expected = pa.concat_tables([rows.spans for rows in SIMULATION.requests()])
    assert sorted(spans) == sorted(expected["span_id"].to_pylist())
    assert lines == sum(rows.logs.num_rows for rows in SIMULATION.requests())


def test_nothing_is_read_of_a_source_that_has_none() -> None:
    assert RequestReader(iter(())).until(END_US) is None


def test_no_more_is_read_ahead_than_one_table() -> None:
    drawn = 0

    def counted() -> Iterator[RequestRows]:
        nonlocal drawn
        for rows in SIMULATION.requests():
            drawn += 1
            yield rows

    reader = RequestReader(counted())
    reader.until(START_US + timedelta(minutes=1) // timedelta(microseconds=1))
    assert drawn == 2
    reader.until(END_US)
    assert drawn > 2
