"""The event-time clock: where ordered telemetry ends, at any step and number of series, and whatever a few rows claim."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.replay.event_clock import PIECE_ROWS, event_clock, newest_until, pieces

START = datetime(2025, 3, 3, tzinfo=UTC)
FALLBACK = datetime(2030, 1, 1, tzinfo=UTC)


def piece(seconds: "list[float | None] | np.ndarray") -> pa.Table:
    """Return rows at so many seconds after the start; None = unreadable."""
    times = [None if s is None else START + timedelta(seconds=float(s)) for s in seconds]
    return pa.table({"timestamp": pa.array(times, pa.timestamp("us", tz="UTC"))})


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=float(seconds))


@given(
    step_s=st.sampled_from([1, 15, 60, 300, 3600, 86_400]),
    series=st.integers(1, 40),
    ticks=st.integers(1, 60),
    cut=st.integers(0, 39),
)
def test_ordered_telemetry_is_as_late_as_its_last_row(step_s: int, series: int, ticks: int, cut: int) -> None:
    seconds = np.repeat(np.arange(ticks) * step_s, series)[: max(1, ticks * series - cut % series)]
    clock = event_clock(piece(seconds), FALLBACK)
    lonely_tick = len(seconds) > 1 and ticks > 1 and step_s > 300 and (seconds == seconds[-1]).sum() < 3
    assert clock <= after(seconds[-1])
    assert clock >= after(seconds[-1] - 300) or (lonely_tick and ticks < 3)


@given(st.data())
def test_a_few_rows_from_the_future_do_not_move_it(data: st.DataObject) -> None:
    series = data.draw(st.integers(1, 30))
    seconds = np.repeat(np.arange(120) * 60.0, series)
    wrong = data.draw(st.sets(st.integers(0, len(seconds) // 9 - 1), max_size=12))
    for number in wrong:
        seconds[number * 9] += data.draw(st.floats(3600, 1e7))
    clock = event_clock(piece(seconds), FALLBACK)
    assert after(119 * 60 - 300) <= clock <= after(119 * 60)


def test_a_future_row_at_the_very_end_does_not_move_it() -> None:
    assert event_clock(piece([*np.arange(100) * 60.0, 1e6]), FALLBACK) == after(99 * 60)
    assert event_clock(piece([*np.arange(100) * 60.0, 1e6, 2e6]), FALLBACK) == after(99 * 60)


def test_late_rows_do_not_hold_it_back() -> None:
    seconds = np.arange(200) * 60.0
    seconds[::7] -= 5000
    assert event_clock(piece(seconds), FALLBACK) >= after(198 * 60)


def test_rows_after_an_outage_are_not_from_the_future() -> None:
    seconds = [*np.repeat(np.arange(500) * 60.0, 8), *np.repeat(7 * 86_400 + np.arange(2) * 60.0, 8)]
    assert event_clock(piece(seconds), FALLBACK) == after(7 * 86_400 + 60)


@pytest.mark.parametrize(
    "unreadable",
    [pa.table({"timestamp": ["2025-03-03"]}), piece([None, None]), piece([])],
    ids=["text", "all missing", "no rows"],
)
def test_without_a_readable_time_the_fallback_counts(unreadable: pa.Table) -> None:
    assert event_clock(unreadable, FALLBACK) == FALLBACK


def test_missing_times_and_other_units_are_no_obstacle() -> None:
    coarse = pa.table({"timestamp": pa.array([None, 60, 120, 180], pa.timestamp("s"))})
    assert event_clock(coarse, FALLBACK) == datetime(1970, 1, 1, 0, 3, tzinfo=UTC)


def test_pieces_are_the_table_in_order() -> None:
    table = pa.table({"row": range(10_000)})
    cut = list(pieces(table))
    assert [len(part) for part in cut] == [PIECE_ROWS, PIECE_ROWS, 10_000 - 2 * PIECE_ROWS]
    assert pa.concat_tables(cut).equals(table)
    assert list(pieces(table.slice(0, 0))) == []


def test_rows_of_the_next_piece_confirm_the_last_ones() -> None:
    """A gap right before a cut: the two rows after it are as valid as those that follow in the next piece."""
    seconds = [*np.arange(100) * 60.0, 90_000.0, 90_060.0]
    rest = piece(90_120.0 + np.arange(50) * 60.0)
    assert event_clock(piece(seconds), FALLBACK) == after(99 * 60)
    assert event_clock(piece(seconds), FALLBACK, rest) == after(90_060)
    assert event_clock(piece(seconds), FALLBACK, piece(6000.0 + np.arange(50) * 60.0)) == after(99 * 60)


def test_a_recording_that_ends_is_as_late_as_its_newest_row_that_can_be() -> None:
    seconds = [*np.arange(100) * 60.0, 90_000.0, 1e9]
    assert newest_until(piece(seconds), after(100_000), FALLBACK) == after(90_000)
    assert newest_until(piece([None]), after(100_000), FALLBACK) == FALLBACK
