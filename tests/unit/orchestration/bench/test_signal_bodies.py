"""Lines and spans that the stream bench sends: taken by the receivers' own readers without a refusal, others each round."""

from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from aiops.signals.templates.miner import TemplateMiner
from orchestration.bench.load.log_bodies import log_bodies
from orchestration.bench.load.sent_services import sent_services
from orchestration.bench.load.span_bodies import LONGEST, PARTS, SHORTEST, span_bodies
from serving.ingest.receive.signals.otlp_logs import accept_logs
from serving.ingest.receive.signals.otlp_traces import accept_spans
from serving.ingest.receive.signals.signal_outcome import SignalIntake, SignalOutcome
from serving.stream import streams

TIME_MS = 1_790_000_000_000
INTAKE = SignalIntake(datetime.fromtimestamp(TIME_MS / 1e3, UTC))
SERVICES = sent_services(8)


def rows_of(outcome: SignalOutcome) -> pa.Table:
    assert outcome.rejected == 0, outcome.message
    return pa.concat_tables([streams.from_ipc(entry.payload) for entry in outcome.entries])


def lines(round_number: int, bodies: int = 8) -> pa.Table:
    sent = log_bodies(SERVICES, 128, bodies)
    return pa.concat_tables(
        [rows_of(accept_logs(body.filled(round_number, TIME_MS), "protobuf", INTAKE)) for body in sent]
    ).unify_dictionaries()


def spans(round_number: int) -> pa.Table:
    sent = span_bodies(SERVICES, 128, PARTS)
    return pa.concat_tables(
        [rows_of(accept_spans(body.filled(round_number, TIME_MS), "protobuf", INTAKE)) for body in sent]
    ).unify_dictionaries()


def test_lines_are_of_all_services_in_the_second_before_they_are_sent() -> None:
    table = lines(0)
    assert table.num_rows == 8 * 128
    assert len(set(table["service"].to_pylist())) == 8
    at_ms = [at.timestamp() * 1e3 for at in table["timestamp"].to_pylist()]
    assert min(at_ms) >= TIME_MS - 1000
    assert max(at_ms) < TIME_MS
    assert {"INFO", "WARN", "DEBUG"} <= set(table["severity"].to_pylist())


def test_a_line_reads_otherwise_each_round_and_its_form_stays() -> None:
    first, second = (lines(number)["body"].to_pylist() for number in range(2))
    assert sum(line == again for line, again in zip(first, second, strict=True)) < 0.02 * len(first)
    without_digits = [
        ["".join("0" if c in "0123456789abcdef" else c for c in text) for text in texts] for texts in (first, second)
    ]
    assert without_digits[0] == without_digits[1]
    assert len(set(lines(0)["log_id"].to_pylist()) & set(lines(1)["log_id"].to_pylist())) == 0


def test_requests_write_their_lines_in_order_under_one_trace() -> None:
    table = lines(0)
    by_trace = Counter(trace for trace in table["trace_id"].to_pylist() if trace)
    assert Counter(by_trace.values()).most_common(1)[0][0] == 4
    assert 0.8 < sum(by_trace.values()) / table.num_rows < 1.0


def test_there_are_hundreds_of_templates_and_they_are_found() -> None:
    forms = {line.text for service in sent_services(20) for operation in service.operations for line in operation.lines}
    assert len(forms) == 400
    miner = TemplateMiner()
    ids = set()
    for number in range(3):
        bodies = lines(number)["body"].combine_chunks()
        ids = set(miner.resolve(miner.observe(bodies, np.full(len(bodies), TIME_MS // 1000 + number)).shapes).tolist())
    assert len(ids) >= 100


def test_traces_are_whole_over_their_bodies_and_of_five_to_thirty_spans() -> None:
    table = spans(0)
    sizes = Counter(table["trace_id"].to_pylist()).values()
    assert min(sizes) >= SHORTEST
    assert max(sizes) <= LONGEST
    ids = set(table["span_id"].to_pylist())
    assert len(ids) == table.num_rows
    parents = table["parent_id"].to_pylist()
    assert parents.count(None) == len(sizes)
    assert {parent for parent in parents if parent} <= ids
    at_us, length_us = np.asarray(table["timestamp"].cast(pa.int64())), np.asarray(table["duration_us"])
    assert (at_us + length_us).max() < TIME_MS * 1000
    assert set(table["kind"].to_pylist()) == {"server", "client", "internal"}
    assert 0 < table["status"].to_pylist().count("error") < 0.1 * table.num_rows


def test_spans_of_another_round_are_others() -> None:
    assert set(spans(0)["span_id"].to_pylist()).isdisjoint(spans(1)["span_id"].to_pylist())


@pytest.mark.parametrize("count", [4, 64])
def test_bodies_have_about_as_many_rows_as_asked_for(count: int) -> None:
    rows = [body.rows for body in span_bodies(sent_services(20), 512, count)]
    assert len(rows) == count
    assert 400 < sum(rows) / count < 600
    assert [body.rows for body in log_bodies(SERVICES, 130, 2)] == [130, 130]
