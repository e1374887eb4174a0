"""Minutes of tenants: closed by event time, by the clock where nothing comes, exact over a restart; bad rows are dead letters."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from aiops.settings.signal_settings import SignalSettings
from serving.ingest.watermark_entries import watermark_entry
from serving.signal_minutes.minute_series import Makers
from serving.signal_minutes.partition_minutes import Closed, PartitionMinutes, PartitionRules
from serving.signal_minutes.series_makers import makers_of
from serving.signal_minutes.tenant_minutes import MinuteRules
from serving.stream import streams
from tests.testing.minute_double import makers
from tests.testing.signal_lines import SECOND_US, line_entry, line_rows, minute, points_of

RULES = PartitionRules(MinuteRules(lateness_us=20 * SECOND_US, idle_us=30 * SECOND_US), max_tenants=2)


def applied(minutes: PartitionMinutes, *entries: streams.Entry) -> Closed:
    closed = Closed()
    for entry in entries:
        minutes.apply(entry, closed)
    return closed


def test_a_minute_closes_when_the_watermark_lies_behind_it_by_the_lateness() -> None:
    minutes = PartitionMinutes(RULES, makers())
    first = applied(minutes, line_entry(1, [(minute(0), "cart", "a"), (minute(0) + 5, "cart", "error")]))
    assert not first.series
    assert not applied(minutes, line_entry(2, [(minute(1) + 19 * SECOND_US, "cart", "a")])).series
    late = line_entry(3, [(minute(0) + 59 * SECOND_US, "pay", "a")])
    closed = applied(minutes, late, line_entry(4, [(minute(1) + 20 * SECOND_US, "cart", "a")]))
    assert points_of(closed.series["default"]) == [
        (0, "cart", {"level": "error"}, 1.0),
        (0, "cart", {"level": "info"}, 1.0),
        (0, "pay", {"level": "info"}, 1.0),
    ]
    (series,) = closed.series["default"]
    assert set(series["timestamp"].cast(pa.int64()).to_pylist()) == {minute(1) + 20 * SECOND_US}, "in time for its tick"
    applied(minutes, late)
    assert minutes.counts() == {"default": {"points": 3, "logs.late": 1}}


def test_a_sender_whose_clock_is_ahead_closes_no_minute_of_the_others() -> None:
    minutes = PartitionMinutes(RULES, makers())
    ahead = replace(line_entry(1, [(minute(4), "pay", "a")]), available_us=minute(0) + SECOND_US)
    assert not applied(minutes, ahead, line_entry(2, [(minute(0), "cart", "a")])).series
    assert points_of(applied(minutes, line_entry(3, [(minute(2), "cart", "a")])).series["default"]) == [
        (0, "cart", {"level": "info"}, 1.0)
    ]


def test_where_nothing_comes_the_clock_closes_what_is_open_and_then_nothing_more() -> None:
    minutes = PartitionMinutes(RULES, makers())
    applied(minutes, line_entry(1, [(minute(0) + 50 * SECOND_US, "cart", "a")]))
    assert minutes.overdue(minute(1) + 20 * SECOND_US) == [], "something came 29 s ago"
    assert minutes.overdue(minute(1) + 21 * SECOND_US) == ["default"]
    note = watermark_entry("default", minute(1) + 21 * SECOND_US)
    tick = streams.Entry("2-0", note.kind, note.payload, 0, minute(1) + 21 * SECOND_US)
    assert points_of(applied(minutes, tick).series["default"]) == [(0, "cart", {"level": "info"}, 1.0)]
    assert minutes.overdue(minute(9)) == []


def test_tenants_are_apart_and_more_than_there_is_room_for_are_counted() -> None:
    minutes = PartitionMinutes(RULES, makers())
    applied(minutes, *(line_entry(1, [(minute(0), "cart", "a")], tenant) for tenant in ("acme", "other", "third")))
    closed = applied(minutes, line_entry(2, [(minute(9), "cart", "a")], "acme"))
    assert list(closed.series) == ["acme"]
    assert minutes.counts()[""] == {"refused_tenants": 1}


def test_a_tenant_that_was_idle_for_long_gives_its_place_away() -> None:
    rules = replace(RULES, max_tenants=1, forget_us=60 * 60 * SECOND_US)
    minutes = PartitionMinutes(rules, makers())
    applied(minutes, line_entry(1, [(minute(0), "cart", "a")], "acme"), line_entry(2, [(minute(70), "cart", "a")], "other"))
    assert list(minutes.counts()) == ["other"]


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"nonsense", "Invalid"),
        (streams.to_ipc(pa.table({"a": [1]})), "column timestamp is missing"),
    ],
)
def test_what_cannot_be_read_becomes_a_dead_letter_and_costs_nothing_else(payload: bytes, words: str) -> None:
    minutes = PartitionMinutes(RULES, makers())
    good = line_entry(1, [(minute(0), "cart", "a")])
    closed = applied(minutes, good, replace(good, entry_id="2-0", payload=payload))
    (letter,) = closed.letters["default"]
    assert words in str(letter.column("detail")[0])
    assert json.loads(str(letter.column("row")[0]))["entry"] == "2-0"
    poison = line_entry(3, [(minute(0), "cart", "poison")])
    assert "poison" in str(applied(minutes, poison).letters["default"][0].column("detail")[0])


@pytest.mark.parametrize("made", [makers, lambda: makers_of(SignalSettings())])
def test_the_clock_moves_on_for_a_tenant_of_whom_nothing_could_be_read(made: Callable[[], Makers]) -> None:
    """Its state has no kind of signal yet: a note of the clock must not end the process at every start."""
    minutes = PartitionMinutes(RULES, made())
    poison = line_entry(1, [(minute(0), "cart", "poison")])
    unusable = poison if made is makers else replace(poison, payload=streams.to_ipc(nameless_rows()))
    assert applied(minutes, unusable).letters["default"]
    note = watermark_entry("default", minute(3))
    tick = streams.Entry("2-0", note.kind, note.payload, 0, minute(3))
    assert not applied(minutes, tick).series
    restored = PartitionMinutes.restore(RULES, made(), minutes.snapshot())
    assert not applied(restored, tick).series
    assert not restored.overdue(minute(9))


def nameless_rows() -> pa.Table:
    """Return lines whose services are numbers: rows of no kind, which only the series find out."""
    rows = line_rows([(minute(0), "cart", "a")])
    return rows.set_column(rows.schema.get_field_index("service"), "service", pa.array([[1]]))


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_run_that_is_cut_and_restored_gives_what_a_whole_run_gives(cut: int) -> None:
    rng = np.random.default_rng(3)
    entries = [
        line_entry(
            number,
            [(minute(number // 3) + int(rng.integers(-30, 60)) * SECOND_US, "cart", "a error b"[: int(rng.integers(1, 9))])],
            ("acme", "other")[number % 2],
        )
        for number in range(1, 12)
    ]
    whole = PartitionMinutes(RULES, makers())
    expected = applied(whole, *entries)
    first = PartitionMinutes(RULES, makers())
    before = applied(first, *entries[:cut])
    second = PartitionMinutes.restore(RULES, makers(), first.snapshot())
    after = applied(second, *entries[cut:])
    joined = {name: before.series.get(name, []) + after.series.get(name, []) for name in {*before.series, *after.series}}
    assert {name: points_of(tables) for name, tables in joined.items()} == {
        name: points_of(tables) for name, tables in expected.series.items()
    }
    assert second.counts() == whole.counts()
    for name, array in whole.snapshot().items():
        assert np.array_equal(array, second.snapshot()[name])
