"""Answers as bytes: JSON records, and Arrow IPC streams for bulk. NaN becomes null."""

from functools import cache
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from serving.scoring.answers.explanations import ExplainedRow, Explanation, unknown_names
from serving.scoring.answers.scoring import Answer
from serving.scoring.requests.vector_rows import RequestRows


def answer_json(answer: Answer) -> bytes:
    """Return `{"model", "model_version", "request_id", "thresholds", "rows": [...]}`, one object a row in request order."""
    services, times = answer.rows.services.to_pylist(), answer.rows.event_times.to_pylist()
    scores, shares = answer.scores.tolist(), answer.shares.tolist()
    rows: list[dict[str, Any]] = []
    for number, values in enumerate(scores):
        row: dict[str, Any] = {"service": services[number], "event_timestamp": times[number]}
        row |= zip(answer.outputs, values, strict=True)
        row["anomalous"] = bool(answer.anomalous[number]) if answer.known[number] else None
        row["model_version"] = answer.versions[answer.version_index[number]]
        if answer.members:
            row["shares"] = dict(zip(answer.members, shares[number], strict=True))
        rows.append(row | _origin(answer.rows, number))
    envelope = {
        "model": answer.model,
        "model_version": answer.versions[0],
        "request_id": answer.origin.request_id,
        "thresholds": dict(zip(answer.outputs, answer.thresholds.tolist(), strict=True)),
        "rows": rows,
    }
    return orjson.dumps(envelope)


def answer_arrow(answer: Answer) -> bytes:
    """Return service, event_timestamp, one float64 column an output, anomalous bool (null = unknown), model_version.

    A model of several members adds one float64 column `share_<member>` for each, null = it abstains.
    """
    outputs = [_nullable(answer.scores[:, index]) for index in range(len(answer.outputs))]
    shares = [_nullable(answer.shares[:, index]) for index in range(len(answer.members))]
    anomalous = pa.array(answer.anomalous, mask=~answer.known)
    versions = _versions(answer)
    metadata: dict[bytes | str, bytes | str] = {
        "model": answer.model,
        "model_version": answer.versions[0],
        "request_id": answer.origin.request_id,
    }
    schema = _answer_schema(answer.outputs, answer.members).with_metadata(metadata)
    columns: list[Any] = [answer.rows.services, answer.rows.event_times, *outputs, anomalous, versions, *shares]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    return sink.getvalue().to_pybytes()


@cache
def _answer_schema(outputs: tuple[str, ...], members: tuple[str, ...]) -> pa.Schema:
    fields: list[tuple[str, pa.DataType]] = [
        ("service", pa.string()),
        ("event_timestamp", TIMESTAMP),
        *((name, pa.float64()) for name in outputs),
    ]
    fields += [("anomalous", pa.bool_()), ("model_version", pa.string())]
    return pa.schema([*fields, *((f"share_{member}", pa.float64()) for member in members)])


def _versions(answer: Answer) -> "pa.Array[Any]":
    if len(answer.versions) == 1:
        return pa.repeat(answer.versions[0], len(answer.rows))
    return pa.array(answer.versions, pa.string()).take(answer.version_index)


def _nullable(values: FloatArray) -> "pa.Array[Any]":
    made: pa.Array[Any] = pa.array(values, mask=np.isnan(values))
    return made


def explanation_json(explanation: Explanation) -> bytes:
    """Return `{"model", …, "output", "threshold", "rows": [{…, "base_value", "contributions": [...], "words"}]}`."""
    rows = [_explained(explanation, row) for row in explanation.explained]
    envelope = {
        "model": explanation.model,
        "model_version": explanation.model_version,
        "request_id": explanation.request_id,
        "output": explanation.output,
        "threshold": explanation.threshold,
        "rows": rows,
    }
    return orjson.dumps(envelope)


def _explained(explanation: Explanation, row: ExplainedRow) -> dict[str, Any]:
    contributions = [
        {"feature": item.feature, "value": item.value, "contribution": item.contribution} for item in row.contributions
    ]
    return {
        "service": explanation.rows.services[row.row].as_py(),
        "event_timestamp": explanation.rows.event_times[row.row].as_py(),
        explanation.output: row.score,
        "anomalous": None if np.isnan(row.score) else row.anomalous,
        "base_value": row.base_value,
        "margin": row.margin,
        "contributions": contributions,
        "words": row.words,
        **({"shares": row.shares} if row.shares else {}),
    } | _origin(explanation.rows, row.row)


def _origin(rows: RequestRows, number: int) -> dict[str, Any]:
    if not rows.looked_up[number]:
        return {"features_from": "request"}
    return {"features_from": "online store", "unknown_features": unknown_names(rows, number)}
