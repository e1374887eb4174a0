"""gRPC messages of Season to points, and verdicts to messages; the rules and words of the JSON bodies."""

import numpy as np
import pyarrow as pa

from serving.scoring.answers.season_answers import AT_BOUND, MODEL, SeasonAnswer, season_arrow, sentences
from serving.scoring.grpc_api.message_body import rows_of_body
from serving.scoring.proto import scoring_pb2 as pb
from serving.scoring.requests.season_rows import SeasonRows, checked_points, parse_season_arrow
from serving.scoring.requests.vector_rows import check_row_count


def parse_season(request: pb.SeasonRequest, max_rows: int) -> SeasonRows:
    """Return the points of a request, typed or Arrow.

    Raises:
        ProblemError: 400 naming field, value, rule and fix.
    """
    return rows_of_body(request, lambda rows: _typed_points(rows, max_rows), lambda stream: parse_season_arrow(stream, max_rows))


def _typed_points(message: pb.Points, max_rows: int) -> SeasonRows:
    points = message.rows
    check_row_count(len(points), max_rows)
    texts = [pa.array([getattr(point, name) for point in points], pa.string()) for name in ("service", "metric")]
    time_us = np.array([point.timestamp_us for point in points], dtype=np.int64)
    return checked_points(texts[0], texts[1], time_us, np.array([point.value for point in points], dtype=np.float64))


def season_response(answer: SeasonAnswer, as_arrow: bool) -> pb.SeasonResponse:
    """Return the answer as a message, in the form of the request."""
    envelope = pb.SeasonResponse(model=MODEL, model_version=answer.version, request_id=answer.request_id)
    if as_arrow:
        envelope.arrow_stream = season_arrow(answer)
        return envelope
    judged, rows = answer.judged, answer.rows
    services, metrics, words = rows.services.to_pylist(), rows.metrics.to_pylist(), sentences(answer)
    envelope.rows.SetInParent()
    for number, value in enumerate(rows.value.tolist()):
        score = float(judged.score[number])
        envelope.rows.rows.add(
            service=services[number],
            metric=metrics[number],
            timestamp_us=int(rows.time_us[number]),
            value=value,
            expected=float(judged.expected[number]),
            lower=float(judged.lower[number]),
            upper=float(judged.upper[number]),
            score=score,
            rarity=float(judged.rarity[number]),
            anomalous=None if np.isnan(score) else score >= AT_BOUND,
            status=judged.status[number],
            words=words[number],
            model_version=answer.versions[answer.code[number]],
        )
    return envelope
