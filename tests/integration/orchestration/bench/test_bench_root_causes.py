"""`aiops bench petshop` and `nezha-rca`: files that name every case, figures beside the loudest service's, clear refusals."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from aiops.errors import SourceError
from aiops.signals.span_rows import SPAN_ROWS
from orchestration.bench.corpora.nezha_windows import FaultRequests, files_before
from orchestration.bench.corpora.root_causes import bench_nezha, bench_petshop
from serving.ingest.pull.nezha_requests import RequestFiles

FIRST_S = 1_674_979_200
"""08:00 of the made-up day."""


def silent(_: str) -> None:
    """Say nothing."""


@pytest.mark.data
def test_petshop(corpora: Path, tmp_path: Path) -> None:
    out = tmp_path / "petshop.jsonl"
    figures = bench_petshop(corpora / "petshop" / "dataset", out, silent)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == figures.cases == 26
    assert {tuple(line) for line in lines} == {("scenario", "split", "issue", "ranking", "seconds")}
    assert figures.top1 >= 0.9
    assert figures.top1 >= figures.magnitude_top1
    assert figures.top1 > figures.loudest_top1
    assert not [node for line in lines for node in line["ranking"] if node.endswith(("_remote", "_client"))]


@pytest.mark.data
def test_nezha(corpora: Path, tmp_path: Path) -> None:
    out = tmp_path / "nezha.jsonl"
    figures = bench_nezha(corpora / "nezha", out, silent, ablate=True)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == figures.cases == 52
    assert figures.top1 > 2 * figures.loudest_top1
    top1 = {(row.part, row.evidence): row.top1 for row in figures.parts}
    assert top1["2023-01-29", "all"] >= top1["2023-01-29", "traces and logs alone"] - 0.05
    assert top1["2023-01-29", "traces and logs alone"] > 2 * top1["2023-01-29", "metrics alone"]
    assert top1["2022-08-22", "all"] >= top1["2022-08-22", "magnitude of metrics"]
    assert all(top1[day, "all"] > top1[day, "loudest service"] + 0.5 for day in ("2022-08-22", "2023-01-29"))
    assert [line["fault"] for line in lines if line["day"] == "2022-08-22"] == list(range(24))


def two_traces() -> RequestFiles:
    """Return a trace that is over after 10 s and one that begins then and runs for 20 s, each with a line at begin and end."""
    at = [0, 10_000_000, 12_000_000]
    texts = {"service": ["cart"] * 3, "name": ["work"] * 3, "trace_id": ["early", "late", "late"], "span_id": ["a", "b", "c"]}
    absent = dict.fromkeys(("kind", "parent_id", "status", "trace_state"), [None] * 3)
    spans = {"timestamp": at, "duration_us": [10_000_000 - 1, 20_000_000, 1_000_000], **texts, **absent}
    lines = {"timestamp": [0, 9_000_000, 10_000_000, 29_000_000], "trace_id": ["early", "early", "late", "late"]}
    written = pa.table({**lines, "span_id": ["a", "a", "b", "b"], "text": ["begins", "ends", "begins", "ends"]})
    return RequestFiles(pa.table({name: spans[name] for name in SPAN_ROWS.names}).cast(SPAN_ROWS), written)


@pytest.mark.parametrize(("end_s", "spans", "lines"), [(9, 0, 0), (10, 1, 2), (15, 1, 2), (31, 3, 4)])
def test_no_request_is_read_before_it_is_over(end_s: int, spans: int, lines: int) -> None:
    files = files_before(two_traces(), end_s * 1_000_000)
    assert (files.spans.num_rows, files.lines.num_rows) == (spans, lines)


def test_what_comes_after_a_window_changes_nothing_of_it(tmp_path: Path) -> None:
    """A fault at 08:05; a value in the lines of 08:20 would make the place of that value one of templates."""
    day = tmp_path / "rca_data" / "2023-01-29"
    minutes = [*range(8), 20]
    for kind in ("trace", "log"):
        (day / kind).mkdir(parents=True)
    for minute in minutes:
        write_minute(day, minute, "paid in gold" if minute == 20 else "paid in cash")
    fault_us = (FIRST_S + 5 * 60) * 1_000_000
    whole = FaultRequests(day, [fault_us]).around(fault_us)
    for kind in ("trace", "log"):
        (day / kind / f"08_20_{kind}.csv").unlink()
    cut = FaultRequests(day, [fault_us]).around(fault_us)
    assert whole is not None
    assert cut is not None
    assert whole.requests.patterns == cut.requests.patterns
    assert "paid in cash" in {pattern.first for pattern in cut.requests.patterns}
    np.testing.assert_array_equal(whole.part, cut.part)


def write_minute(day: Path, minute: int, text: str) -> None:
    """Write a minute of 30 requests, a line each."""
    starts = [(FIRST_S + 60 * minute + 2 * number) * 1_000_000_000 for number in range(30)]
    ids = [f"{minute:02x}{number:02x}" for number in range(30)]
    traces = [
        f"{name},{name}a,root,shop-cart-6f6cfc45b-h5m2n,pay,{at},{at + 1_000_000},1000"
        for name, at in zip(ids, starts, strict=True)
    ]
    logs = [f"t,{at},n,shop-cart-6f6cfc45b-h5m2n,server,{name},{name}a,{text}" for name, at in zip(ids, starts, strict=True)]
    heads = (
        "TraceID,SpanID,ParentID,PodName,OperationName,StartTimeUnixNano,EndTimeUnixNano,Duration",
        "Timestamp,TimeUnixNano,Node,PodName,Container,TraceID,SpanID,Log",
    )
    for kind, head, rows in zip(("trace", "log"), heads, (traces, logs), strict=True):
        (day / kind / f"08_{minute:02}_{kind}.csv").write_text("\n".join([head, *rows]) + "\n")


@pytest.mark.parametrize("bench", [bench_petshop, bench_nezha])
def test_a_folder_without_the_corpus_is_refused(bench: object, tmp_path: Path) -> None:
    assert callable(bench)
    with pytest.raises(SourceError, match="give the"):
        bench(tmp_path, tmp_path / "out", silent)
