"""Minutes of logs and spans: batches, the form of rows and a restart anywhere change nothing; each minute comes exactly once."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.signals.edge_minutes import EdgeMinutes, EdgeMinutesConfig
from aiops.signals.log_minutes import LogMinutes, LogMinutesConfig
from aiops.signals.parameter_values import ParameterConfig
from aiops.signals.span_rows import SPAN_ROWS
from aiops.signals.template_minutes import TemplateMinutesConfig
from data_contracts.schemas.wire_schemas import LOGS

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON_US = int(NOON.timestamp()) * 1_000_000
MINUTE_US = 60_000_000
SMALL_TEMPLATES = TemplateMinutesConfig(warm_up_minutes=1, steady_minutes=1, most_templates=2, forget_minutes=2)
SMALL_VALUES = ParameterConfig(most_values=3, quiet_minutes=1, adopted_minutes=1, most_places=5)
SMALL_LOGS = LogMinutesConfig(most_minutes=3, most_series=4, forget_minutes=2, templates=SMALL_TEMPLATES, parameters=SMALL_VALUES)
SMALL_SPANS = EdgeMinutesConfig(most_minutes=3, most_series=3, most_waiting=8, wait_s=30.0, most_names=3, forget_minutes=2)


def lines(records: list[tuple[int, str, int]]) -> pa.Table:
    rows = []
    for at_s, service, severity in records:
        row: dict[str, Any] = {field.name: None if field.nullable else "" for field in LOGS}
        row |= {"timestamp": NOON + timedelta(seconds=at_s), "available_at": NOON, "log_id": 1, "service": service}
        rows.append(
            row
            | {
                "severity_number": severity,
                "body": f"step {'abcd'[severity % 4]} of {service} zone={at_s // 9 % 7} took {at_s} ms",
            }
        )
    return pa.Table.from_pylist(rows, schema=LOGS)


def spans(calls: list[tuple[int, int, str, str, int, int]]) -> pa.Table:
    rows = [
        {
            "timestamp": NOON + timedelta(seconds=at_s),
            "duration_us": duration_s * 1_000_000,
            "service": service,
            "name": "work",
            "kind": kind,
            "trace_id": "0e" * 16,
            "span_id": f"{number:016x}",
            "parent_id": None if parent < 0 else f"{parent:016x}",
            "status": "error" if number % 3 == 0 else "",
            "trace_state": "ot=th:8" if number % 2 else None,
        }
        for number, (at_s, duration_s, service, kind, parent, repeat) in enumerate(calls)
        for _ in range(repeat)
    ]
    return pa.Table.from_pylist(rows, schema=SPAN_ROWS)


RECORDS = st.lists(st.tuples(st.integers(-60, 400), st.sampled_from(["", "a", "b", "c"]), st.integers(-1, 25)), max_size=40)
CALLS = st.lists(
    st.tuples(
        st.integers(-60, 400),
        st.integers(0, 90),
        st.sampled_from(["", "a", "b", "c", "d"]),
        st.sampled_from(["", "server", "client", "internal", "consumer", "producer"]),
        st.integers(-1, 12),
        st.integers(1, 2),
    ),
    max_size=30,
)
CUTS = st.lists(st.integers(0, 60), max_size=6)
CLOSES = st.dictionaries(st.integers(0, 60), st.integers(-1, 8), max_size=5)


def parts(table: pa.Table, cuts: list[int]) -> list[tuple[int, pa.Table]]:
    """Return slices of a table with the number of the row that each ends at."""
    bounds = sorted({0, table.num_rows, *(cut for cut in cuts if cut < table.num_rows)})
    return [(end, table.slice(start, end - start)) for start, end in pairwise(bounds)]


def run(minutes: Any, table: pa.Table, cuts: list[int], closes: dict[int, int], restart: bool) -> tuple[Any, Any]:
    """Feed a table in slices, close where it is said (after so many rows, up to that minute); return points and counts."""
    points: list[Any] = []
    for end, part in parts(table, [*cuts, *closes]):
        minutes.observe(part.to_batches()[0] if end % 2 and part.num_rows else part)
        if end in closes:
            points += minutes.closed(NOON_US + closes[end] * MINUTE_US).to_pylist()
        if restart:
            minutes = type(minutes).restore(minutes.config, minutes.state())
    points += minutes.closed(NOON_US + 20 * MINUTE_US).to_pylist()
    return points, minutes.counts


@given(RECORDS, CUTS, CLOSES)
@settings(max_examples=60)
def test_logs_in_other_batches_and_restarted_say_the_same(
    records: list[tuple[int, str, int]], cuts: list[int], closes: dict[int, int]
) -> None:
    whole = run(LogMinutes(SMALL_LOGS), lines(records), [], closes, restart=False)
    assert run(LogMinutes(SMALL_LOGS), lines(records), cuts, closes, restart=True) == whole


@given(CALLS, CUTS, CLOSES)
@settings(max_examples=60, deadline=None)
def test_spans_in_other_batches_and_restarted_say_the_same(
    calls: list[tuple[int, int, str, str, int, int]], cuts: list[int], closes: dict[int, int]
) -> None:
    whole = run(EdgeMinutes(SMALL_SPANS), spans(calls), [], closes, restart=False)
    assert run(EdgeMinutes(SMALL_SPANS), spans(calls), cuts, closes, restart=True) == whole


@given(RECORDS, CLOSES)
def test_every_record_counts_once_or_is_named(records: list[tuple[int, str, int]], closes: dict[int, int]) -> None:
    minutes = LogMinutes(LogMinutesConfig())
    points, counts = run(minutes, lines(records), [], closes, restart=False)
    rates = [point for point in points if point["metric"] == "log.records_per_second"]
    assert len({(point["timestamp"], point["service"], str(point["labels"])) for point in rates}) == len(rates)
    counted = round(sum(60.0 * point["value"] for point in rates))
    assert counted + counts.late + counts.ahead + counts.unusable + counts.left_out == counts.records == len(records)


@given(CALLS)
@settings(deadline=None)
def test_requests_of_servers_are_those_of_a_plain_count(calls: list[tuple[int, int, str, str, int, int]]) -> None:
    minutes = EdgeMinutes(EdgeMinutesConfig())
    points, _ = run(minutes, spans(calls), [], {}, restart=False)
    expected: Counter[str] = Counter()
    for number, (_, _, service, kind, _, _) in enumerate(calls):
        if service and kind in ("server", "consumer"):
            expected[service] += 2 if number % 2 else 1
    said: Counter[str] = Counter()
    for point in points:
        if point["metric"] == "span.server.requests_per_second" and not point["labels"]:
            said[point["service"]] += round(60.0 * point["value"])
    assert {service: count for service, count in expected.items() if said[service] < count} == {}


@given(CALLS, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_with_room_enough_the_order_of_spans_changes_nothing(
    calls: list[tuple[int, int, str, str, int, int]], random: Any
) -> None:
    callers = Counter(call[4] for call in calls)
    alone = [(*call[:4], call[4] if callers[call[4]] == 1 else -1, 1) for call in calls]
    table = spans(alone)
    order = list(range(table.num_rows))
    random.shuffle(order)
    whole, counts = run(EdgeMinutes(EdgeMinutesConfig()), table, [], {}, restart=False)
    shuffled, counts_too = run(EdgeMinutes(EdgeMinutesConfig()), table.take(pa.array(order, pa.int64())), [], {}, restart=False)
    assert (shuffled, counts_too) == (whole, counts)
