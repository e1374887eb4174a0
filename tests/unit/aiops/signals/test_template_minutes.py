"""Templates by service and minute: rates, new and missing ones, their words, and what merging and restarts leave as it was."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from aiops.signals.log_minutes import LogMinutes, LogMinutesConfig
from aiops.signals.template_minutes import TemplateMinutesConfig
from data_contracts.schemas.wire_schemas import LOGS

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON_US = int(NOON.timestamp()) * 1_000_000
MINUTE_US = 60_000_000
SHORT = LogMinutesConfig(templates=TemplateMinutesConfig(warm_up_minutes=3, steady_minutes=3, most_templates=2))


def records(minute: int, *bodies: str, service: str = "cart") -> pa.Table:
    rows: list[dict[str, Any]] = []
    for number, body in enumerate(bodies):
        row: dict[str, Any] = {field.name: None if field.nullable else "" for field in LOGS}
        when = NOON + timedelta(minutes=minute, seconds=number % 60)
        rows.append(
            row | {"timestamp": when, "available_at": when, "log_id": 1, "service": service, "severity_number": 9, "body": body}
        )
    return pa.Table.from_pylist(rows, schema=LOGS)


def values(series: pa.Table, metric: str) -> list[float]:
    return [row["value"] for row in series.to_pylist() if row["metric"] == metric]


def after(minutes: LogMinutes, minute: int, *bodies: str) -> pa.Table:
    minutes.observe(records(minute, *bodies))
    return minutes.closed(NOON_US + (minute + 1) * MINUTE_US)


def test_a_template_that_never_came_is_new_once_the_service_is_warm() -> None:
    minutes = LogMinutes(SHORT)
    for minute in range(3):
        assert values(after(minutes, minute, "opened cart 7", "priced cart 7"), "log.new_templates") == []
    assert values(after(minutes, 3, "opened cart 8", "priced cart 9"), "log.new_templates") == [0.0]
    assert values(after(minutes, 4, "opened cart 8", "payment was refused by the bank"), "log.new_templates") == [1.0]
    assert values(after(minutes, 5, "opened cart 8", "payment was refused by the bank"), "log.new_templates") == [0.0]


def test_a_template_that_always_came_is_missed_for_a_while() -> None:
    minutes = LogMinutes(SHORT)
    for minute in range(4):
        series = after(minutes, minute, "heartbeat sent to leader", "opened cart 7")
    assert values(series, "log.missing_templates") == [0.0]
    missing = [values(after(minutes, minute, "opened cart 7"), "log.missing_templates")[0] for minute in range(4, 9)]
    assert missing == [1.0, 1.0, 1.0, 0.0, 0.0]


def test_a_service_that_is_silent_while_others_write_misses_its_lines() -> None:
    minutes = LogMinutes(SHORT)
    for minute in range(4):
        after(minutes, minute, "heartbeat sent to leader")
    minutes.observe(records(4, "other line", service="shop"))
    series = minutes.closed(NOON_US + 5 * MINUTE_US)
    assert values(series, "log.missing_templates") == [1.0]


def texts_of(minutes: LogMinutes) -> dict[str, tuple[str, str]]:
    """Return pattern and example by metric, a label's value left out."""
    return {row["metric"].partition("{")[0]: (row["pattern"], row["example"]) for row in minutes.texts().to_pylist()}


def test_a_series_says_its_words_and_a_line_once() -> None:
    minutes = LogMinutes(SHORT)
    after(minutes, 0, "opened cart 7: by ann", "opened cart 9: by ann")
    assert texts_of(minutes) == {"log.template_records_per_second": ("opened cart <*>: <*> ann", "opened cart 7: by ann")}
    after(minutes, 1, "opened cart 8: by ann")
    assert not minutes.texts().num_rows, "it was said"
    again = LogMinutes.restore(minutes.config, minutes.state())
    after(again, 2, "opened cart 8: by ann")
    assert texts_of(again)["log.template_records_per_second"][1] == "opened cart 7: by ann", "the line is kept over a restart"


def test_new_missing_and_failing_templates_are_named() -> None:
    minutes = LogMinutes(SHORT)
    for minute in range(4):
        after(minutes, minute, "heartbeat 7 sent to leader", "opened cart 7")
    assert "log.new_templates" not in texts_of(minutes)
    minutes.observe(pa.concat_tables([records(4, "opened cart 7"), failing(4, "payment 4711 refused: card expired")]))
    minutes.closed(NOON_US + 5 * MINUTE_US)
    texts = texts_of(minutes)
    refused = ("payment <*> refused: <*> expired", "payment 4711 refused: card expired")
    assert texts["log.new_templates"] == texts["log.error_ratio"] == texts["log.records_per_second"] == refused
    assert texts["log.missing_templates"] == ("heartbeat <*> sent to leader", "heartbeat 7 sent to leader")


def failing(minute: int, body: str) -> pa.Table:
    rows = records(minute, body)
    place = rows.schema.get_field_index("severity_number")
    return rows.set_column(place, rows.schema.field(place), pa.array([17], pa.int8()))


def test_templates_beyond_the_most_share_a_series() -> None:
    minutes = LogMinutes(SHORT)
    series = after(minutes, 0, "opened the cart", "priced goods again", "sent mail out", "closed session now")
    labels = [
        dict(row["labels"]).get("template") for row in series.to_pylist() if row["metric"] == "log.template_records_per_second"
    ]
    assert len(labels) == 3
    assert labels[-1] == "(others)"
    assert values(series, "log.template_records_per_second")[-1] == 2 / 60


def test_a_stream_that_has_no_templates_is_named() -> None:
    minutes = LogMinutes(SHORT)
    minutes.observe(records(0, *(chr(1) * 40 + str(number) for number in range(1000))))
    minutes.observe(records(0, "one more line", "and one"))
    assert minutes.counts.without_template >= 2
    assert minutes.counts.records == 1002
