"""Requests in the stage: lines and spans of a tenant become one series a service, whole traces, once, the same over a restart."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from aiops.settings.signal_settings import SignalSettings
from aiops.signals.request_changes import RequestChangesConfig
from aiops.signals.request_minutes import RequestMinutes, RequestMinutesConfig
from serving.signal_minutes.partition_minutes import Closed, PartitionMinutes, PartitionRules
from serving.signal_minutes.series_makers import makers_of
from serving.signal_minutes.tenant_minutes import MinuteRules
from serving.stream import streams
from tests.testing.signal_lines import SECOND_US, minute
from tests.testing.traced_requests import span_rows, traced_entries

RULES = PartitionRules(MinuteRules(lateness_us=10 * SECOND_US))
MAKERS = makers_of(SignalSettings())
CALM, BROKEN, END = 12, 15, 18


def order(number: int) -> tuple[str, str]:
    """Return the two lines of a request of a minute: prices are checked, and from `CALM` to `BROKEN` they are refused."""
    return "cart was read", "cart was refused by stock" if CALM <= number < BROKEN else "cart was priced"


ENTRIES = traced_entries(range(END), order)


def closed_by(minutes: PartitionMinutes, entries: Sequence[streams.Entry]) -> Closed:
    closed = Closed()
    for entry in entries:
        minutes.apply(entry, closed)
    return closed


def changes_of(tables: Sequence[pa.Table]) -> list[float]:
    rows: Any = pa.concat_tables(tables)
    values: list[float] = rows.filter(pc.equal(rows["metric"], pa.scalar("request.change_ratio")))["value"].to_pylist()
    return values


def test_another_order_of_lines_is_a_series_and_is_said_in_words() -> None:
    closed = closed_by(PartitionMinutes(RULES, MAKERS), ENTRIES)
    values = changes_of(closed.series["default"])
    assert len(values) == 6, "minutes 11 to 16: ten minutes to compare with, and the window; the last one is open"
    assert values[0] < 1.0 <= min(values[2:4]), "the window is two minutes"
    assert values[-1] < 1.0
    texts = pa.concat_tables(closed.texts["default"]).to_pylist()
    said = [row["pattern"] for row in texts if row["metric"] == "request.change_ratio"]
    assert said
    assert "refused by stock" in said[0] or "priced" in said[0]
    assert "% of requests" in said[0]


@pytest.mark.parametrize("cut", [1, 7, 24, 27, 33])
def test_a_restart_anywhere_changes_nothing(cut: int) -> None:
    whole = closed_by(PartitionMinutes(RULES, MAKERS), ENTRIES)
    first = PartitionMinutes(RULES, MAKERS)
    before = closed_by(first, ENTRIES[:cut]).series.get("default", [])
    second = PartitionMinutes.restore(RULES, MAKERS, first.snapshot())
    after = closed_by(second, ENTRIES[cut:]).series.get("default", [])
    assert changes_of([*before, *after]) == changes_of(whole.series["default"])


def test_a_trace_whose_root_never_comes_counts_a_minute_later_and_what_comes_after_is_late() -> None:
    minutes = RequestMinutes(RequestMinutesConfig(changes=RequestChangesConfig(window_minutes=1)))
    for number in range(4):
        minutes.observe_spans(span_rows(number, rooted=number != 3))
    assert len(minutes.closed(minute(4), None)) == 2, "minutes 1 and 2; 0 has no reference"
    assert not len(minutes.closed(minute(4), None)), "each minute once"
    assert len(minutes.closed(minute(5), None)) == 1
    minutes.observe_spans(span_rows(2))
    minutes.closed(minute(6), None)
    assert minutes.counts.late == span_rows(2).num_rows


def test_more_spans_than_there_is_room_for_leave_whole_traces_out() -> None:
    minutes = RequestMinutes(RequestMinutesConfig(most_spans=20))
    for number in range(6):
        minutes.observe_spans(span_rows(number, count=64))
    minutes.closed(minute(7), None)
    counts = minutes.counts
    assert counts.spans == 6 * 64
    assert 0 < counts.sampled_out < counts.spans
