"""Series of minutes by example: what is said of each minute, what is counted and left out, states that are refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from aiops.errors import ContractError, OutdatedState, StateError
from aiops.signals.edge_minutes import EdgeMinutes, EdgeMinutesConfig
from aiops.signals.log_minutes import LogMinutes, LogMinutesConfig
from aiops.signals.span_rows import SPAN_ROWS
from data_contracts.schemas.wire_schemas import LOGS
from data_contracts.telemetry.validate import validate

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE_US = 60_000_000
NOON_US = int(NOON.timestamp()) * 1_000_000


def records(*levels: tuple[float, str, int]) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for at_s, service, severity in levels:
        row: dict[str, Any] = {field.name: None if field.nullable else "" for field in LOGS}
        row |= {"timestamp": NOON + timedelta(seconds=at_s), "available_at": NOON, "log_id": 1, "service": service}
        rows.append(row | {"severity_number": severity})
    return pa.Table.from_pylist(rows, schema=LOGS)


def span(name: str, parent: str | None, service: str, **more: Any) -> dict[str, Any]:
    return {
        "timestamp": NOON + timedelta(seconds=more.get("at", 0.0)),
        "duration_us": int(1e6 * more.get("s", 1.0)),
        "service": service,
        "name": more.get("operation", "work"),
        "kind": more.get("kind", ""),
        "trace_id": "0e" * 16,
        "span_id": name,
        "parent_id": parent,
        "status": more.get("status", ""),
        "trace_state": more.get("state"),
    }


def spans(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=SPAN_ROWS)


def said(series: pa.Table) -> dict[tuple[Any, ...], float]:
    """Return values by minute after noon (of its end), service, metric and label's value."""
    return {
        (
            (row["timestamp"] - NOON).total_seconds() / 60,
            row["service"],
            row["metric"],
            *(value for _, value in row["labels"]),
        ): row["value"]
        for row in series.to_pylist()
    }


def test_levels_are_counted_and_go_on_as_zero() -> None:
    minutes = LogMinutes(LogMinutesConfig(templates=None))
    minutes.observe(records((0, "a", 9), (59.9, "a", 17), (60, "b", 0)))
    first, second = said(minutes.closed(NOON_US + MINUTE_US)), said(minutes.closed(NOON_US + 3 * MINUTE_US))
    rate = "log.records_per_second"
    assert first == {(1, "a", rate, "error"): 1 / 60, (1, "a", rate, "info"): 1 / 60, (1, "a", "log.error_ratio"): 0.5}
    assert second == {(2, "a", rate, "error"): 0.0, (2, "a", rate, "info"): 0.0, (2, "b", rate, "unspecified"): 1 / 60}


def test_a_minute_without_any_record_says_nothing() -> None:
    minutes = LogMinutes()
    minutes.observe(records((0, "a", 9), (150, "a", 9)))
    assert {minute for minute, *_ in said(minutes.closed(NOON_US + 5 * MINUTE_US))} == {1, 3}


def test_records_that_do_not_count_are_named() -> None:
    minutes = LogMinutes(LogMinutesConfig(most_minutes=2, most_series=1, templates=None))
    minutes.observe(records((0, "a", 9), (1, "b", 9), (2, "", 9)))
    assert minutes.closed(NOON_US + MINUTE_US).num_rows == 2
    minutes.observe(records((5, "a", 9), (400, "a", 9)))
    counts = minutes.counts
    assert (counts.records, counts.left_out, counts.unusable, counts.late, counts.ahead) == (5, 1, 1, 1, 1)


def test_an_idle_series_ends_and_makes_room() -> None:
    minutes = LogMinutes(LogMinutesConfig(most_series=1, forget_minutes=1, templates=None))
    minutes.observe(records((0, "a", 9)))
    minutes.closed(NOON_US + MINUTE_US)
    for minute in (1, 2, 3):
        minutes.observe(records((60 * minute, "b", 9)))
        series = said(minutes.closed(NOON_US + (minute + 1) * MINUTE_US))
    assert set(series) == {(4, "b", "log.records_per_second", "info"), (4, "b", "log.error_ratio")}


def test_calls_have_both_ends_and_the_network() -> None:
    minutes = EdgeMinutes()
    minutes.observe(spans(span("a1", None, "web", kind="client", s=3.0), span("b1", "a1", "cart", kind="server", at=0.5, s=2.0)))
    series = said(minutes.closed(NOON_US + MINUTE_US))
    assert (
        series[1, "cart", "span.server.requests_per_second"]
        == series[1, "cart", "span.server.requests_per_second", "work"]
        == 1 / 60
    )
    assert series[1, "web", "span.call.client_latency_p50_s", "cart"] == pytest.approx(3.0, rel=0.01)
    assert series[1, "web", "span.call.server_latency_mean_s", "cart"] == pytest.approx(2.0, rel=0.01)
    assert series[1, "web", "span.call.network_latency_p50_s", "cart"] == pytest.approx(1.0, rel=0.01)
    assert not any("p99" in metric for _, _, metric, *_ in series)


def test_a_call_counts_in_the_minute_that_it_ends() -> None:
    minutes = EdgeMinutes()
    minutes.observe(spans(span("b1", None, "cart", kind="server", at=50.0, s=30.0, status="error")))
    assert minutes.closed(NOON_US + MINUTE_US).num_rows == 0
    assert said(minutes.closed(NOON_US + 2 * MINUTE_US))[2, "cart", "span.server.error_ratio"] == 1.0


def test_without_kinds_roots_and_called_spans_serve() -> None:
    minutes = EdgeMinutes()
    minutes.observe(
        spans(span("a1", None, "web"), span("a2", "a1", "web"), span("b1", "a2", "cart", s=0.5), span("b2", "b1", "cart"))
    )
    series = said(minutes.closed(NOON_US + MINUTE_US))
    assert {key[1]: value for key, value in series.items() if key[2:] == ("span.server.requests_per_second",)} == {
        "web": 1 / 60,
        "cart": 1 / 60,
    }


def test_sampled_spans_stand_for_others() -> None:
    minutes = EdgeMinutes()
    minutes.observe(
        spans(span("b1", None, "cart", kind="server", state="ot=th:c", status="error"), span("b2", None, "cart", kind="server"))
    )
    series = said(minutes.closed(NOON_US + MINUTE_US))
    assert series[1, "cart", "span.server.requests_per_second"] == 5 / 60
    assert series[1, "cart", "span.server.error_ratio"] == 0.8


def test_series_keep_the_contract_of_telemetry() -> None:
    logs, edges = LogMinutes(), EdgeMinutes()
    logs.observe(records((0, "a", 9)))
    edges.observe(spans(span("b1", None, "cart")))
    for minutes in (logs, edges):
        series = minutes.closed(NOON_US + MINUTE_US)
        checked = validate(series, NOON + timedelta(hours=1))
        assert (checked.accepted.num_rows, checked.rejected.num_rows) == (series.num_rows, 0)


@pytest.mark.parametrize("minutes", [LogMinutes(), EdgeMinutes()])
def test_damaged_and_old_states_are_refused(minutes: Any) -> None:
    state = dict(minutes.state())
    with pytest.raises(StateError, match="damaged"):
        type(minutes).restore(minutes.config, {"marks": state["marks"]})
    state["marks"] = np.concatenate([[99], state["marks"][1:]])
    with pytest.raises(OutdatedState, match="version 99"):
        type(minutes).restore(minutes.config, state)


def test_bounds_are_positive() -> None:
    with pytest.raises(ContractError):
        LogMinutesConfig(most_minutes=0)
    with pytest.raises(ContractError):
        EdgeMinutesConfig(most_waiting=1)


@pytest.mark.parametrize("at_once", [False, True])
def test_a_series_that_comes_back_is_not_forgotten_by_a_close_over_several_minutes(at_once: bool) -> None:
    config = LogMinutesConfig(templates=None, forget_minutes=5)
    minutes, ends = LogMinutes(config), [NOON_US + number * MINUTE_US for number in (8, 9)]
    minutes.observe(records((0, "batch", 9)))
    minutes.closed(NOON_US + 7 * MINUTE_US)
    minutes.observe(records((7 * 60, "web", 9), (8 * 60, "batch", 9)))
    closed = pa.concat_tables([minutes.closed(end) for end in (ends[1:] if at_once else ends)])
    assert said(closed)[9, "batch", "log.records_per_second", "info"] == 1 / 60
