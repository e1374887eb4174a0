"""Sequences on their way into /score, and members' shares on the way out: JSON, Arrow and gRPC alike."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry

from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import CANDIDATES, SEQUENCE, SEQUENCE_FEATURES, SERVICE_FEATURES, TIMESTAMP
from models.detectors.evidence import EmpiricalTail, label_free
from models.detectors.isolation_forest import ForestConfig, IsolationForest
from models.detectors.lstm_autoencoder import AutoencoderConfig, fit_autoencoder
from models.detectors.service_ensemble import Member, RankedModel, ServiceEnsemble
from serving.http.problem import ProblemError
from serving.scoring.answers.answer_encoding import answer_arrow, answer_json
from serving.scoring.answers.request_origin import RequestOrigin
from serving.scoring.answers.scoring import SCORE, Answer
from serving.scoring.answers.scoring_metrics import ScoringMetrics
from serving.scoring.grpc_api.grpc_score import parse_rows, score_response
from serving.scoring.proto import scoring_pb2 as pb
from serving.scoring.requests.arrow_rows import parse_arrow
from serving.scoring.requests.json_rows import parse_json
from serving.scoring.requests.vector_rows import RequestRows
from serving.scoring.slots.model_slot import ModelSlot
from serving.scoring.slots.model_source import MemoryModels, served_model
from tests.testing.sequence_rows import sequences

TICK = datetime(2025, 1, 31, 12, tzinfo=UTC)
ROWS = 6


def values() -> FloatArray:
    return np.random.default_rng(4).normal(size=(ROWS, len(SERVICE_FEATURES)))


def past() -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return (ROWS, …) sequences, the third row's unknown, the fourth's with a hole."""
    made = sequences(ROWS, seed=6).astype(np.float32).astype(np.float64)
    made[2], made[3, 5] = np.nan, np.nan
    return made


def with_null(row: FloatArray) -> list[float | None] | None:
    return None if np.isnan(row).all() else [None if np.isnan(entry) else entry for entry in row.tolist()]


def by_json() -> RequestRows:
    rows = [
        {"service": "cart", "event_timestamp": TICK, **dict(zip(SERVICE_FEATURES, row, strict=True)), SEQUENCE: with_null(own)}
        for row, own in zip(values().tolist(), past(), strict=True)
    ]
    return parse_json(orjson.dumps({"rows": rows}), 100).rows


def table(entries: Any, kind: pa.DataType) -> pa.Table:
    columns: dict[str, Any] = {"service": ["cart"] * ROWS, "event_timestamp": pa.array([TICK] * ROWS, TIMESTAMP)}
    columns |= {name: values()[:, place] for place, name in enumerate(SERVICE_FEATURES)}
    return pa.table({**columns, SEQUENCE: pa.array(entries, kind)})


def stream(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue().to_pybytes()


def by_arrow() -> RequestRows:
    return parse_arrow(stream(table([with_null(row) for row in past()], CANDIDATES.field(SEQUENCE).type)), 100)


def by_grpc() -> RequestRows:
    message = pb.Rows(feature_names=[*SEQUENCE_FEATURES, *SERVICE_FEATURES])
    for row, own in zip(values(), past(), strict=True):
        message.rows.add(service="cart", event_time_us=int(TICK.timestamp() * 1e6), features=[*own, *row])
    return parse_rows(message, 100)


@cache
def ensemble() -> ServiceEnsemble:
    rng = np.random.default_rng(1)
    config = ForestConfig(trees=10)
    now, then = rng.normal(size=(400, len(config.features))), sequences(400)
    models: list[tuple[RankedModel, FloatArray]] = [
        (IsolationForest.fit(now, config), now),
        (fit_autoencoder(then, AutoencoderConfig(epochs=1)), then),
    ]
    members = [Member(model, EmpiricalTail.fit(model.raw_score(rows))) for model, rows in models]
    evidence = np.stack([member.tail(member.model.raw_score(rows)) for member, (_, rows) in zip(members, models, strict=True)], 1)
    return ServiceEnsemble.of(members, label_free(evidence, 0.01))


@pytest.mark.parametrize("read", [by_json, by_arrow, by_grpc])
def test_three_ways_in_give_the_same_sequences(read: Callable[[], RequestRows]) -> None:
    rows = read()
    assert rows.sequences is not None
    np.testing.assert_array_equal(rows.sequences, past().astype(np.float32))
    np.testing.assert_array_equal(rows.features, values())
    np.testing.assert_array_equal(rows.take(np.array([3, 0])).sequences, rows.sequences[[3, 0]])
    matrix = rows.matrix(ensemble().features)
    np.testing.assert_array_equal(matrix[:, ensemble().features.index("errors_worst_3_spans_ago")],
                                  past()[:, SEQUENCE_FEATURES.index("errors_worst_3_spans_ago")])  # fmt: skip
    np.testing.assert_array_equal(matrix[:, 0], values()[:, SERVICE_FEATURES.index(ensemble().features[0])])


def test_without_a_sequence_the_member_abstains() -> None:
    rows = by_json()
    scores, shares = ensemble().score_and_shares(rows.matrix(ensemble().features))
    alone, own = ensemble().score_and_shares(replace(rows, sequences=None).matrix(ensemble().features))
    assert np.isfinite(alone).all()
    assert np.isnan(own[:, 1]).all()
    np.testing.assert_array_equal(own[:, 0], 1.0)
    assert np.isnan(shares[2, 1])
    assert scores[2] == alone[2]
    assert (scores != alone).any()


def answered() -> Answer:
    rows = by_arrow()
    scores, shares = ensemble().score_and_shares(rows.matrix(ensemble().features))
    known, index = np.ones(ROWS, dtype=np.bool_), np.zeros(ROWS, dtype=np.int64)
    names = ensemble().member_names
    return Answer(
        SCORE.model, RequestOrigin("r"), ("score",), np.array([0.5]), rows,
        scores, ~known, known, ("1",), index, (), names, shares,
    )  # fmt: skip


def test_every_answer_says_what_each_member_adds() -> None:
    answer = answered()
    with pa.ipc.open_stream(answer_arrow(answer)) as reader:
        batch = reader.read_next_batch()
    assert batch.schema.names[-2:] == ["share_forest", "share_sequence"]
    assert batch.column("share_sequence").to_pylist()[2] is None
    rows_answered = orjson.loads(answer_json(answer))["rows"]
    assert rows_answered[2]["shares"] == {"forest": 1.0, "sequence": None}
    message = score_response(answer, as_arrow=False)
    assert dict(message.rows.rows[2].shares) == {"forest": 1.0}
    for number in (0, 1, 3):
        share = batch.column("share_forest")[number].as_py()
        assert share + batch.column("share_sequence")[number].as_py() == pytest.approx(1.0)
        assert rows_answered[number]["shares"]["forest"] == share == message.rows.rows[number].shares["forest"]


def test_a_model_of_sequences_is_taken_into_service() -> None:
    model = ensemble()
    rows = by_json().matrix(model.features)
    source = MemoryModels()
    source.add(SCORE.model, served_model(model, "1", rows, model.score(rows)), "champion")
    slot = ModelSlot(SCORE.model, "champion", source, ScoringMetrics(CollectorRegistry()))
    assert slot.poll(0.0), slot.status.error
    assert slot.current is not None


def test_sequences_of_another_make_are_refused() -> None:
    row = {"service": "cart", "errors_worst": 0.1}
    with pytest.raises(ProblemError) as short:
        parse_json(orjson.dumps({"rows": [{**row, SEQUENCE: [0.1, 0.2]}]}), 100)
    assert short.value.problem.field == "rows[0].sequence"
    with pytest.raises(ProblemError) as wide:
        parse_arrow(stream(table(past().tolist(), pa.list_(pa.float64()))), 100)
    assert wide.value.problem.field == SEQUENCE
    infinite = past()
    infinite[1, 7] = np.inf
    with pytest.raises(ProblemError) as endless:
        parse_arrow(stream(table(infinite.tolist(), CANDIDATES.field(SEQUENCE).type)), 100)
    assert endless.value.problem.field == "rows[1].sequence[7]"
