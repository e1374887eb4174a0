"""Spans and log lines in the lake name a root that no metric shows; nothing from after the moment asked about counts."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from aiops.incidents.root_cause import RootCauseReport
from aiops.incidents.root_cause_question import RootCauseQuestion
from aiops.signals.novelty import WINDOW
from aiops.topology.graph import ServiceGraph
from data_contracts.schemas.wire_schemas import LOGS, SPANS
from data_contracts.series.tenant import DEFAULT_TENANT
from models.rca.request_evidence import ORDER
from serving.lake.opening import open_lake
from serving.lake.port import Lake
from serving.root_cause.incident_requests import IncidentRequests, RequestConfig, RequestTimes
from serving.root_cause.lake_explainer import AnalystConfig, RootCauseAnalyst
from tests.testing.slow_database import BEGAN, CALLS, MINUTE, START, rows

A_MINUTE = 20
SERVICES = ("web", "cart", "db")
LINES = {"web": ("page asked for", "page sent"), "cart": ("cart opened", "cart read"), "db": ("rows asked for", "rows sent")}
Words = Callable[[str, datetime], tuple[str, ...]]


def as_ever(service: str, _: datetime) -> tuple[str, ...]:
    return LINES[service]


def cart_fails(service: str, at: datetime) -> tuple[str, ...]:
    return ("cart opened", "cannot read: empty answer") if service == "cart" and at >= BEGAN else LINES[service]


def write_requests(lake: Lake, begin: datetime, minutes: int, words: Words, late: timedelta = timedelta(0)) -> None:
    """Write requests from web over cart to db, with two lines each, as receivers would."""
    spans, logs = [], []
    for number in range(minutes * A_MINUTE):
        at = begin + number * MINUTE / A_MINUTE
        whole = int(begin.timestamp()) * 1000 + number
        trace = f"{(whole * 2654435761) % 2**128:032x}"
        for depth, service in enumerate(SERVICES):
            start, span = at + timedelta(milliseconds=5 * depth), f"{whole * 8 + depth + 1:016x}"
            parent = f"{whole * 8 + depth:016x}" if depth else None
            texts = {"trace_id": trace, "span_id": span, "service": service, "available_at": at + late}
            spans.append(
                {
                    **_empty(SPANS),
                    **texts,
                    "timestamp": start,
                    "duration_us": 60_000 - 15_000 * depth,
                    "name": "call",
                    "parent_id": parent,
                }
            )
            for line, body in enumerate(words(service, at)):
                when = start + timedelta(milliseconds=1 + line)
                logs.append({**_empty(LOGS), **texts, "timestamp": when, "body": body, "log_id": whole * 8 + 2 * depth + line})
    lake.add("spans", pa.Table.from_pylist(spans, SPANS))
    lake.add("logs", pa.Table.from_pylist(logs, LOGS))


def _empty(schema: pa.Schema) -> dict[str, object]:
    return {field.name: None if field.nullable else 0 if pa.types.is_integer(field.type) else "" for field in schema}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = open_lake(tmp_path / "lake").for_tenant(DEFAULT_TENANT)
    lake.write("telemetry", rows(START, 180), "calm")
    lake.write("telemetry", rows(START + timedelta(hours=3), 70, 0.0, 5), "recent")
    return lake


def answer(lake: Lake, at: datetime = BEGAN + 4 * MINUTE) -> RootCauseReport:
    graph = ServiceGraph.from_pairs(CALLS)
    return RootCauseAnalyst(lake, lambda _: graph, AnalystConfig()).answer(RootCauseQuestion({"web": BEGAN + MINUTE}, at))


def test_a_service_that_answers_wrongly_is_named_by_what_its_requests_log(lake: Lake) -> None:
    blind = answer(lake)
    assert all(evidence.kind != ORDER for cause in blind.causes for evidence in cause.evidence)
    write_requests(lake, BEGAN - 40 * MINUTE, 46, cart_fails)
    report = answer(lake)
    assert report.causes[0].service == "cart"
    shown = next(evidence for evidence in report.causes[0].evidence if evidence.kind == ORDER)
    assert "cart read" in shown.text
    assert {cause.service for cause in report.causes if any(item.kind == ORDER for item in cause.evidence)} == {"cart"}


def test_requests_that_are_as_ever_say_nothing(lake: Lake) -> None:
    blind = answer(lake)
    write_requests(lake, BEGAN - 40 * MINUTE, 46, as_ever)
    assert [cause.service for cause in answer(lake).causes] == [cause.service for cause in blind.causes]


def test_requests_with_more_lines_than_are_read_are_still_as_ever(lake: Lake) -> None:
    def many(service: str, _: datetime) -> tuple[str, ...]:
        return tuple(f"{service} step {'abcdefghijkl'[step]} done" for step in range(12))

    write_requests(lake, BEGAN - 40 * MINUTE, 46, many)
    config = RequestConfig(most=3 * 12 * A_MINUTE * 10)  # of the lines, a third while all was well, all in the window
    graph = ServiceGraph.from_pairs(CALLS)
    asked = RootCauseAnalyst(lake, lambda _: graph, AnalystConfig(requests=config))
    report = asked.answer(RootCauseQuestion({"web": BEGAN + MINUTE}, BEGAN + 4 * MINUTE))
    now, then = requests(lake, config) or (0, 0)
    assert then < 0.6 * 30 * A_MINUTE * len(SERVICES)
    assert now > 0.9 * 6 * A_MINUTE * len(SERVICES)
    assert all(evidence.kind != ORDER for cause in report.causes for evidence in cause.evidence)


def test_what_reached_the_suite_later_changes_nothing(lake: Lake) -> None:
    write_requests(lake, BEGAN - 40 * MINUTE, 40, as_ever)
    before = answer(lake)
    write_requests(lake, BEGAN, 5, cart_fails, late=timedelta(hours=1))
    assert answer(lake) == before


def requests(lake: Lake, config: RequestConfig, masked: tuple[tuple[datetime, datetime], ...] = ()) -> tuple[int, int] | None:
    """Return how many requests of the window and of the time while all was well are read."""
    times = RequestTimes(BEGAN + MINUTE, BEGAN + 4 * MINUTE, BEGAN + timedelta(hours=1), BEGAN - 9 * MINUTE)
    read = IncidentRequests(lake, config).around(times, SERVICES, masked)
    window = None if read is None else read.requests()
    return None if window is None else (int((window.part == WINDOW).sum()), int((window.part > 0).sum()))


def test_of_many_spans_whole_traces_are_read_and_other_incidents_are_not_calm(lake: Lake) -> None:
    write_requests(lake, BEGAN - 40 * MINUTE, 46, as_ever)
    every = A_MINUTE * len(SERVICES)
    assert requests(lake, RequestConfig()) == (6 * every, 30 * every)
    now, then = requests(lake, RequestConfig(most=1200)) or (0, 0)
    assert 0 < now <= 6 * every
    assert 0 < then <= 0.85 * 30 * every
    assert then % len(SERVICES) == 0
    other = (BEGAN - 29 * MINUTE, BEGAN - 20 * MINUTE)
    assert requests(lake, RequestConfig(), (other,)) == (6 * every, 20 * every)
    assert requests(lake, RequestConfig(), ((START, BEGAN),)) is None


def test_without_spans_there_is_nothing_to_read(lake: Lake) -> None:
    assert requests(lake, RequestConfig()) is None
