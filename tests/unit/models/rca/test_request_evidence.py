"""What requests say of services: who works differently, is slow, or has a slow network is ahead of its neighbours."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from aiops.signals.novelty import WINDOW
from aiops.signals.requests import LOG_LINES, Requests, requests_of
from aiops.signals.span_rows import SPAN_ROWS
from aiops.topology.graph import ServiceGraph
from models.rca.change_evidence import ChangeConfig
from models.rca.explain import ExplainConfig, RcaInputs, explain
from models.rca.grid import SeriesGrid
from models.rca.request_evidence import GAP, ORDER, OWN_TIME, RequestWindow, request_evidence
from models.rca.weighing import weigh

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHAIN = ("web", "cart", "store")
CALM, TROUBLE = 30, 12


def traces(**fault: Any) -> RequestWindow:
    """Return 30 calm and 12 troubled requests along web → cart → store; a fault changes the last ones."""
    spans: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for number in range(CALM + TROUBLE):
        broken = number >= CALM
        start, length, parent = NOON + timedelta(seconds=number), 100_000 + number % 5 * 100, None
        for depth, service in enumerate(CHAIN):
            own = 10_000 + (fault.get("own_us", 0) if broken and service == fault.get("at") else 0)
            gap = 1_000 + (fault.get("gap_us", 0) if broken and fault.get("at") in CHAIN[depth : depth + 2] else 0)
            ids = f"{number:08x}{depth:04x}a", f"{number:08x}{depth:04x}b"
            spans += [
                row(number, ids[0], parent, service, start, length + fault.get("own_us", 0) + 3 * fault.get("gap_us", 0)),
                row(number, ids[1], ids[0], service, start, 0),
            ]
            spans[-2]["duration_us"] = length
            spans[-1]["duration_us"] = length = length - own
            length -= gap
            parent = ids[1]
            wrong = broken and service == fault.get("wrong")
            lines += [line(number, ids[0], "begins", start), line(number, ids[0], "fails" if wrong else "ends", start, 5)]
        spans.pop()
    requests = requests_of(pa.Table.from_pylist(spans, schema=SPAN_ROWS), pa.Table.from_pylist(lines, schema=LOG_LINES))
    return RequestWindow(requests, part_of(requests))


def part_of(requests: Requests) -> "np.typing.NDArray[np.int64]":
    number = (requests.start_us - requests.start_us.min()) // 1_000_000
    return np.where(number >= CALM, WINDOW, 1 + number // 10)


def row(number: int, name: str, parent: str | None, service: str, start: datetime, length: int) -> dict[str, Any]:
    return {
        "timestamp": start,
        "duration_us": length,
        "service": service,
        "name": "work",
        "kind": None,
        "trace_id": f"{number:032x}",
        "span_id": name,
        "parent_id": parent,
        "status": None,
        "trace_state": None,
    }


def line(number: int, name: str, template: str, start: datetime, ms: int = 0) -> dict[str, Any]:
    at = start + timedelta(milliseconds=ms)
    return {"timestamp": at, "trace_id": f"{number:032x}", "span_id": name, "template": template}


def scores(window: RequestWindow, kind: str) -> dict[str, float]:
    evidence = request_evidence(window)
    return {name: sum(item.score for item in items if item.kind == kind) for name, items in evidence.items()}


def first(window: RequestWindow, kind: str) -> str:
    by_score = scores(window, kind)
    return max(by_score, key=lambda name: by_score[name])


def test_all_well_says_nothing() -> None:
    assert not request_evidence(traces())


def test_a_service_that_writes_other_lines_is_named_in_words() -> None:
    window = traces(wrong="cart")
    assert first(window, ORDER) == "cart"
    (item,) = request_evidence(window)["cart"]
    assert item.words in (
        "100% of requests go from “begins” to “fails”, usually 0%",
        "0% of requests go from “begins” to “ends”, usually 100%",
        "100% of requests end after “fails”, usually 0%",
        "0% of requests end after “ends”, usually 100%",
    )


def test_a_service_that_is_slow_itself() -> None:
    assert first(traces(at="cart", own_us=40_000), OWN_TIME) == "cart"


def test_a_slow_network_slows_all_edges_of_its_service() -> None:
    assert first(traces(at="cart", gap_us=20_000), GAP) == "cart"


def test_the_report_names_it_and_each_kind_can_be_switched_off() -> None:
    quiet = SeriesGrid(np.arange(60) * 60_000_000, (("web", "cpu_utilization"),), np.full((60, 1), 0.3))
    graph = ServiceGraph.from_pairs((), ("web",))
    inputs = RcaInputs(NOON + timedelta(hours=1), quiet.between(0, 300_000_000), quiet, graph, requests=traces(wrong="cart"))
    report = explain(inputs)
    assert report.causes[0].service == "cart"
    assert "“fails”" in report.causes[0].sentence or "“ends”" in report.causes[0].sentence
    without = explain(inputs, ExplainConfig(without=frozenset({"order"})))
    assert {round(cause.score, 9) for cause in without.causes} == {0.0} or without.causes[0].score < report.causes[0].score


def test_nothing_after_the_report_is_read() -> None:
    quiet = SeriesGrid(np.arange(60) * 60_000_000, (("web", "cpu_utilization"),), np.full((60, 1), 0.3))
    graph = ServiceGraph.from_pairs((), ("web",))
    window = quiet.between(0, 300_000_000)
    early = RcaInputs(NOON + timedelta(seconds=CALM - 1), window, quiet, graph, requests=traces(wrong="cart"))
    assert [cause.service for cause in explain(early).causes] == ["web"]


def straying(onset_of_cart: int, steps: int) -> SeriesGrid:
    """Return CPU of three services of which two stray at the last step but `cart` from its onset on."""
    values = np.full((steps, 3), 0.3)
    values[onset_of_cart:, 0] = values[steps - 1 :, 1:] = 0.9
    series = tuple((service, "cpu_utilization") for service in ("cart", "store", "web"))
    return SeriesGrid(np.arange(100, 100 + steps) * 60_000_000, series, values)


def early_of(window: SeriesGrid) -> list[float]:
    calm = SeriesGrid(
        np.arange(60) * 60_000_000, window.series, np.full((60, 3), 0.3) + np.random.default_rng(0).normal(0, 0.01, (60, 3))
    )
    graph = ServiceGraph.from_pairs((), ("cart", "store", "web"))
    inputs = RcaInputs(NOON, window, calm, graph)
    _, features = weigh(inputs, ChangeConfig())
    return features.early.tolist()


def test_order_in_time_counts_where_the_window_shows_it() -> None:
    shown = early_of(straying(5, 12))
    assert shown[0] == 0.0
    assert shown[1] == shown[2] < 0.0
    assert early_of(straying(0, 12)) != [0.0, 0.0, 0.0], "one of three strayed in the first step: chance"
    assert early_of(straying(2, 5)) == [0.0, 0.0, 0.0], "five steps are too few"


@pytest.mark.parametrize("rarer", [False, True])
def test_evidence_begins_with_the_first_request_of_the_operation_that_is_not_as_ever(rarer: bool) -> None:
    """Operation "work" is as ever for five seconds of the window; "other" is called in the window before and shows nothing."""
    spans: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for number in range(CALM + 20):
        changed = number >= CALM + 5
        start = NOON + timedelta(seconds=number)
        spans += [{**row(number, name, None, "cart", start, 1000), "name": name} for name in ("work", "other")]
        if changed != rarer:
            lines.append(line(number, "work", "pays", start))
    requests = requests_of(pa.Table.from_pylist(spans, schema=SPAN_ROWS), pa.Table.from_pylist(lines, schema=LOG_LINES))
    (item,) = [item for item in request_evidence(RequestWindow(requests, part_of(requests)))["cart"] if item.kind == ORDER]
    assert (item.seen < item.baseline) == rarer
    assert item.since_us == int((NOON + timedelta(seconds=CALM + 5)).timestamp() * 1e6)
