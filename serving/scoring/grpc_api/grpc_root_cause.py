"""gRPC messages of RootCause to questions, by way of a JSON body, whose rules and words they share; and reports to messages."""

from datetime import datetime
from typing import Any

import numpy as np
import orjson

from aiops.incidents.root_cause import CauseEvidence, ChangeEvent, RootCause
from data_contracts.values.moments import microseconds_of, moment_of_us
from serving.http.problem import refused
from serving.scoring.answers.root_cause_answers import MODEL, RootCauseAnswer
from serving.scoring.proto import scoring_pb2 as pb
from serving.scoring.requests.root_cause_request import InlineQuestion, LakeQuestion, parse_root_cause
from serving.scoring.requests.vector_rows import check_time


def parse_question(request: pb.RootCauseRequest, max_rows: int) -> LakeQuestion | InlineQuestion:
    """Return the question of a request.

    Raises:
        ProblemError: 400 naming field, value, rule and fix.
    """
    body: dict[str, Any] = {"service": request.service}
    for name, field in (("at", "at_us"), ("window_start", "window_start_us")):
        if request.HasField(field):
            body[name] = _moment(getattr(request, field), field)
    body |= {name: getattr(request, name) for name in ("minutes", "step_s") if request.HasField(name)}
    if request.HasField("rows"):
        body["rows"] = [_point(point, number) for number, point in enumerate(request.rows.rows)]
    if request.edges:
        body["edges"] = [[edge.caller, edge.callee] for edge in request.edges]
    if request.HasField("changes"):
        body["changes"] = [_change(change, number) for number, change in enumerate(request.changes.changes)]
    return parse_root_cause(orjson.dumps(body), max_rows)


def root_cause_response(answer: RootCauseAnswer) -> pb.RootCauseResponse:
    """Return a report as a message."""
    report = answer.report
    return pb.RootCauseResponse(
        model=MODEL,
        model_version=answer.version,
        request_id=answer.request_id,
        made_at_us=microseconds_of(report.made_at),
        window_start_us=microseconds_of(report.window_start),
        window_end_us=microseconds_of(report.window_end),
        symptom=report.symptom,
        causes=[_cause(cause) for cause in report.causes],
        decided=report.decided,
        statement=report.statement,
        would_decide=report.would_decide,
        none_probability=report.none_probability,
        false_alarm=report.false_alarm,
    )


def _moment(time_us: int, field: str) -> datetime:
    check_time(time_us, field)
    return moment_of_us(time_us)


def _point(point: pb.Point, number: int) -> dict[str, Any]:
    if np.isinf(point.value):  # JSON has no word for it
        rule, fix = "numbers are finite", "send null where a value is unknown"
        raise refused(f"rows[{number}].value", str(point.value), rule, fix, "not-finite")
    at = _moment(point.timestamp_us, f"rows[{number}].timestamp")
    return {"service": point.service, "metric": point.metric, "timestamp": at, "value": point.value}  # NaN is written as null


def _change(change: pb.Change, number: int) -> dict[str, Any]:
    at = _moment(change.at_us, f"changes[{number}].at_us")
    return {"at": at, "service": change.service, "kind": change.kind, "what": change.what}


def _cause(cause: RootCause) -> pb.Cause:
    return pb.Cause(
        service=cause.service,
        probability=cause.probability,
        sentence=cause.sentence,
        score=cause.score,
        onset_us=None if cause.onset is None else microseconds_of(cause.onset),
        path=cause.path,
        evidence=[_evidence(item) for item in cause.evidence],
        changes=[_change_message(change) for change in cause.changes],
    )


def _evidence(item: CauseEvidence) -> pb.Evidence:
    return pb.Evidence(
        kind=item.kind,
        metric=item.metric,
        seen=item.seen,
        usual=item.usual,
        excess=item.excess,
        score=item.score,
        since_us=microseconds_of(item.since),
        text=item.text,
    )


def _change_message(change: ChangeEvent) -> pb.Change:
    return pb.Change(
        at_us=microseconds_of(change.at),
        service=change.service,
        kind=change.kind,
        what=change.what,
        change_id=change.change_id,
        source=change.source,
    )
