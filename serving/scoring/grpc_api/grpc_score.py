"""gRPC messages to rows, and answers to messages. The rules and their words are those of the JSON bodies."""

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import SEQUENCE_FEATURES, SERVICE_FEATURES, TIMESTAMP
from serving.http.problem import refused
from serving.scoring.answers.answer_encoding import answer_arrow
from serving.scoring.answers.explanations import ExplainedRow, Explanation, known_shares, unknown_names
from serving.scoring.answers.scoring import Answer
from serving.scoring.grpc_api.message_body import rows_of_body
from serving.scoring.proto import scoring_pb2 as pb
from serving.scoring.requests.arrow_rows import parse_arrow
from serving.scoring.requests.json_rows import LARGEST
from serving.scoring.requests.vector_rows import (
    FEATURE_INDEX,
    SEQUENCE_INDEX,
    RequestRows,
    check_row_count,
    check_service,
    check_times,
)


def parse_request(request: pb.ScoreRequest, max_rows: int) -> RequestRows:
    """Return the rows of a request, typed or Arrow.

    Raises:
        ProblemError: 400 naming field, value, rule and fix.
    """
    return rows_of_body(request, lambda rows: parse_rows(rows, max_rows), lambda stream: parse_arrow(stream, max_rows))


def parse_rows(message: pb.Rows, max_rows: int) -> RequestRows:
    """Return typed rows; a row without any known feature is marked `looked_up`.

    Raises:
        ProblemError: 400 naming field, value, rule and fix.
    """
    check_row_count(len(message.rows), max_rows)
    columns = _columns(message.feature_names)
    values = np.full((len(message.rows), len(SERVICE_FEATURES) + len(SEQUENCE_FEATURES)), np.nan)
    services, times = [], []
    for number, row in enumerate(message.rows):
        check_service(row.service, f"rows[{number}].service")
        services.append(row.service)
        times.append(row.event_time_us if row.HasField("event_time_us") else None)
        if not row.features:
            continue
        if len(row.features) != len(columns):
            value = f"{len(row.features)} values"
            raise refused(
                f"rows[{number}].features", value, f"one for each of {len(columns)} feature_names", "send NaN for unknown"
            )
        values[number, columns] = row.features
    infinite = np.argwhere(np.isinf(values))
    if len(infinite):
        number, column = (int(place) for place in infinite[0])
        field, value = f"rows[{number}].{(*SERVICE_FEATURES, *SEQUENCE_FEATURES)[column]}", str(values[number, column])
        raise refused(field, value, "numbers are finite", "send null where a value is unknown", "not-finite")
    event_times = cast(pa.TimestampArray, pa.array(times, pa.int64()).cast(TIMESTAMP))
    check_times(event_times)
    features, past = np.ascontiguousarray(values[:, : len(SERVICE_FEATURES)]), values[:, len(SERVICE_FEATURES) :]
    looked_up = np.asarray(np.isnan(features).all(axis=1), dtype=np.bool_)
    sequences = None if np.isnan(past).all() else np.clip(past, -LARGEST, LARGEST).astype(np.float32)
    return RequestRows(pa.array(services, pa.string()), event_times, features, looked_up, sequences)


def _columns(names: Sequence[str]) -> list[int]:
    for name in names:
        if name not in FEATURE_INDEX and name not in SEQUENCE_INDEX:
            fix = f"send service, event_timestamp and features ({SERVICE_FEATURES[0]}, …)"
            raise refused("rows.feature_names", name, "no such field", fix, "unknown-field")
    if len(set(names)) != len(names):
        raise refused("rows.feature_names", "", "feature names are unique", "send every name once")
    return [FEATURE_INDEX[name] if name in FEATURE_INDEX else len(FEATURE_INDEX) + SEQUENCE_INDEX[name] for name in names]


def score_response(answer: Answer, as_arrow: bool) -> pb.ScoreResponse:
    """Return the answer as a message, in the form of the request."""
    envelope = pb.ScoreResponse(
        model=answer.model,
        model_version=answer.versions[0],
        request_id=answer.origin.request_id,
        outputs=answer.outputs,
        thresholds=answer.thresholds.tolist(),
    )
    if as_arrow:
        envelope.arrow_stream = answer_arrow(answer)
        return envelope
    services, times = answer.rows.services.to_pylist(), _times_us(answer.rows)
    for number, scores in enumerate(answer.scores.tolist()):
        row = envelope.rows.rows.add(
            service=services[number],
            event_time_us=times[number],
            scores=scores,
            model_version=answer.versions[answer.version_index[number]],
            looked_up=bool(answer.rows.looked_up[number]),
            unknown_features=unknown_names(answer.rows, number),
            shares=known_shares(answer.members, answer.shares[number].tolist() if answer.members else []),
        )
        if answer.known[number]:
            row.anomalous = bool(answer.anomalous[number])
    return envelope


def explain_response(explanation: Explanation) -> pb.ExplainResponse:
    """Return an explanation as a message."""
    times = _times_us(explanation.rows)
    return pb.ExplainResponse(
        model=explanation.model,
        model_version=explanation.model_version,
        request_id=explanation.request_id,
        output=explanation.output,
        threshold=explanation.threshold,
        rows=[_explained(explanation, row, times[row.row]) for row in explanation.explained],
    )


def _explained(explanation: Explanation, row: ExplainedRow, time_us: int | None) -> pb.ExplainedRow:
    return pb.ExplainedRow(
        service=explanation.rows.services[row.row].as_py(),
        event_time_us=time_us,
        score=row.score,
        anomalous=None if math.isnan(row.score) else row.anomalous,
        base_value=row.base_value,
        margin=row.margin,
        contributions=[
            pb.Contribution(feature=item.feature, value=item.value, contribution=item.contribution) for item in row.contributions
        ],
        words=row.words,
        model_version=explanation.model_version,
        looked_up=bool(explanation.rows.looked_up[row.row]),
        unknown_features=unknown_names(explanation.rows, row.row),
        shares=row.shares,
    )


def _times_us(rows: RequestRows) -> list[int | None]:
    return rows.event_times.cast(pa.int64()).to_pylist()
