"""Example traces in a report: a failed, a slow and a normal one, read whole, with what they waited for; nothing from later."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from aiops.incidents.root_cause import ExampleTrace, RootCauseReport
from aiops.incidents.root_cause_question import RootCauseQuestion
from aiops.topology.graph import ServiceGraph
from data_contracts.schemas.wire_schemas import SPANS
from data_contracts.series.key import series_ids
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.values.moments import microseconds_of
from serving.incidents.store.codec import text_of, value_of
from serving.lake.opening import open_lake
from serving.lake.port import Lake
from serving.root_cause.lake_explainer import AnalystConfig, RootCauseAnalyst
from tests.testing.signal_entries import catalogue, exemplars, key_of
from tests.testing.slow_database import BEGAN, CALLS, MINUTE, START, rows

FAILED, SLOW = f"{1:032x}", f"{2:032x}"


def trace(trace_id: str, at: datetime, db_ms: int, failed: bool = False, late: timedelta = timedelta(0)) -> list[dict[str, Any]]:
    """Return the spans of one request: web waits 5 ms, then for cart, which waits for db and for a service that nobody knows."""
    whole = [("web", None, 0, 20 + db_ms), ("cart", 0, 5, 10 + db_ms), ("db", 1, 8, db_ms), ("ads", 1, 6, 1)]
    empty = {name: None if SPANS.field(name).nullable else "" for name in SPANS.names}
    return [
        {
            **empty,
            "timestamp": at + timedelta(milliseconds=begin_ms),
            "duration_us": 1000 * lasting_ms,
            "service": service,
            "name": f"ask {service}",
            "trace_id": trace_id,
            "span_id": f"{int(trace_id, 16) * 8 + place:016x}",
            "parent_id": None if parent is None else f"{int(trace_id, 16) * 8 + parent:016x}",
            "status": "error" if failed and service == "db" else "",
            "available_at": at + late,
        }
        for place, (service, parent, begin_ms, lasting_ms) in enumerate(whole)
    ]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = open_lake(tmp_path / "lake").for_tenant(DEFAULT_TENANT)
    lake.write("telemetry", rows(START, 180), "calm")
    lake.write("telemetry", rows(START + timedelta(hours=3), 70, 0.0, 5), "recent")
    calm = [
        span for number in range(200) for span in trace(f"{100 + number:032x}", BEGAN - 40 * MINUTE + number * MINUTE / 8, 10)
    ]
    lake.add("spans", pa.Table.from_pylist(calm, SPANS))
    return lake


def answer(lake: Lake, at: datetime = BEGAN + 4 * MINUTE) -> RootCauseReport:
    graph = ServiceGraph.from_pairs(CALLS)
    return RootCauseAnalyst(lake, lambda _: graph, AnalystConfig()).answer(RootCauseQuestion({"web": BEGAN + MINUTE}, at))


def by_role(report: RootCauseReport) -> dict[str, ExampleTrace]:
    return {example.role: example for example in report.examples}


def add(lake: Lake, *traces: list[dict[str, Any]]) -> None:
    lake.add("spans", pa.Table.from_pylist([span for spans in traces for span in spans], SPANS))


def test_a_failed_a_slow_and_a_normal_trace_are_kept_with_what_they_waited_for(lake: Lake) -> None:
    add(
        lake,
        trace(FAILED, BEGAN + MINUTE, 12, failed=True),
        trace(SLOW, BEGAN + 2 * MINUTE, 400),
        trace(f"{3:032x}", BEGAN + MINUTE, 11),
    )
    key = key_of(1)
    lake.write("series", catalogue([key]), "series-1")
    sent = exemplars(series_ids([key]).tolist(), microseconds_of(BEGAN + 2 * MINUTE))
    lake.add("exemplars", sent.set_column(sent.schema.get_field_index("trace_id"), "trace_id", pa.array([SLOW])))
    report = answer(lake)
    examples = by_role(report)
    assert list(examples) == ["failed", "slow", "normal"]
    failed, slow, normal = examples.values()
    assert (failed.trace_id, failed.failed_spans, failed.service, failed.operation) == (FAILED, 1, "web", "ask web")
    assert (slow.trace_id, slow.duration_ms, slow.started_at) == (SLOW, 420.0, BEGAN + 2 * MINUTE)
    assert slow.exemplar_of == ('s1|requests_total{pod="p1",zone="a"}',)
    assert normal.duration_ms == 30.0
    assert normal.exemplar_of == ()
    longest = max(slow.path.steps, key=lambda step: step.self_ms)
    assert (longest.service, longest.self_ms) == ("db", 400.0)
    assert (slow.path.spans, slow.path.orphans) == (4, 0)  # the span of a service that is not near the incident, too
    assert value_of(RootCauseReport, text_of(report)) == report


def test_what_came_after_the_analysis_changes_no_example(lake: Lake) -> None:
    add(lake, trace(SLOW, BEGAN + 2 * MINUTE, 400))
    before = answer(lake)
    assert list(by_role(before)) == ["slow", "normal"]
    add(lake, trace(FAILED, BEGAN + MINUTE, 12, failed=True, late=timedelta(hours=1)))
    assert answer(lake) == before


@pytest.mark.parametrize("slowed", [lambda _: 10, lambda number: 10 + number % 3])
def test_without_a_failed_or_a_slow_one_nothing_is_kept(lake: Lake, slowed: Callable[[int], int]) -> None:
    add(lake, *(trace(f"{3 + number:032x}", BEGAN + number * MINUTE / 8, slowed(number)) for number in range(16)))
    assert answer(lake).examples == ()


def test_a_report_stored_before_examples_were_kept_is_read() -> None:
    report = RootCauseReport(BEGAN, BEGAN, BEGAN, "web", (), False, "nothing")
    older = text_of(report).replace(',"examples":[]', "")
    assert "examples" not in older
    assert value_of(RootCauseReport, older) == report
