"""The bodies of the OpenAPI description: every field with its type, its bounds and its meaning."""

from typing import Any, Final

from data_contracts.schemas.feature_views import describe
from data_contracts.schemas.telemetry_schemas import SEQUENCE, SEQUENCE_FEATURES, SERVICE_FEATURES
from models.artifacts.catalog import served_models
from serving.http.openapi_parts import PROBLEM
from serving.scoring.requests.root_cause_request import MOST_MINUTES
from serving.scoring.requests.season_rows import MAX_METRIC_BYTES
from serving.scoring.requests.vector_rows import MAX_NAME_BYTES

Schema = dict[str, Any]

_NUMBER: Final[Schema] = {"type": ["number", "null"]}
_BOOLEAN: Final[Schema] = {"type": ["boolean", "null"]}
_SERVICE: Final = "name of the service"
_SCORED: Final = "one answer a row, in order of the request; each also holds every output by its name, null = unknown"
_EXPLAINED: Final = "one explanation a row, in order of the request; each also holds the output by its name, null = unknown"
_ANOMALOUS: Final = "whether a score reaches its threshold; null = unknown"


def schemas() -> dict[str, Schema]:
    """Return all bodies by name."""
    thresholds = _map({"type": "number"}, "for each output of the model, the value from which on it is an alarm")
    return {
        "Row": _row(),
        "ScoreRequest": _object(("rows",), {"rows": _rows("services to score")}, closed=True),
        "ExplainRequest": _explain_request(),
        "ScoreResponse": _answer({"thresholds": thresholds, "rows": _list(_scored(), _SCORED)}),
        "ExplainResponse": _explained(),
        **_season_schemas(),
        **_root_cause_schemas(),
        "Problem": PROBLEM,
    }


def _row() -> Schema:
    size = len(SEQUENCE_FEATURES)
    row: Schema = {
        "service": _name(_SERVICE),
        "event_timestamp": _moment("the tick that the features are of; null = not given"),
        "available_at": _moment("when the row could be known; it is not used; null = not given"),
    }
    row |= {name: _number(f"{describe(name)}; null = unknown") for name in SERVICE_FEATURES}
    row[SEQUENCE] = {
        "type": ["array", "null"],
        "items": _NUMBER,
        "minItems": size,
        "maxItems": size,
        "description": "the service's past: mean of each signal in each of 12 spans of 5 ticks, the oldest first; null = unknown",
    }
    return _object(("service",), row, closed=True)


def _explain_request() -> Schema:
    model = {"enum": list(served_models()), "description": "the model to explain; absent = incident-predictor"}
    return _object(("rows",), {"rows": _rows("services to explain"), "model": model}, closed=True)


def _answered() -> Schema:
    """Return what an answer says of each row of /score and /explain."""
    return {
        "service": _text(_SERVICE),
        "event_timestamp": _moment("the tick that the features are of; null = not given"),
        "anomalous": {**_BOOLEAN, "description": _ANOMALOUS},
        "features_from": {
            "enum": ["request", "online store"],
            "description": "where the features come from: a row without any is looked up in the online store",
        },
        "unknown_features": _texts(
            "features that the online store did not have, or only stale; absent = features of the request"
        ),
    }


def _scored() -> Schema:
    version = _text("version of the model that scored the row")
    shares = _map(_NUMBER, "share of each member of an ensemble in the score, in all 1; null = it abstains")
    return _object(("service", "anomalous"), {**_answered(), "model_version": version, "shares": shares})


def _explained() -> Schema:
    contribution = {
        "feature": _text("name of the feature, or of a term that the model makes of its features"),
        "value": _number("its value; null = unknown"),
        "contribution": {"type": "number", "description": "what it adds to the margin; below 0 = it lowers it"},
    }
    row = {
        **_answered(),
        "base_value": _number("the margin before any feature counts, in the model's own unit"),
        "margin": _number("base_value and all contributions together; null = unknown"),
        "contributions": _list(_object(tuple(contribution), contribution), "the strongest first; empty = unknown"),
        "words": _text("the explanation in sentences"),
        "shares": _map(_NUMBER, "share of each member of an ensemble, in all 1; one that abstains is absent"),
    }
    rows = _list(_object(("service", "contributions", "words"), row), _EXPLAINED)
    output = _text("the output that is explained, the model's last")
    threshold = {"type": "number", "description": "the value of that output from which on it is an alarm"}
    return _answer({"output": output, "threshold": threshold, "rows": rows})


def _season_schemas() -> dict[str, Schema]:
    point = _point()
    judged: Schema = {
        "expected": _number("the value that the season expects, unit of the metric; null = unknown"),
        "lower": _number("lower bound of the band, unit of the metric; null = unknown"),
        "upper": _number("upper bound of the band, unit of the metric; null = unknown"),
        "score": _number("how far out it lies, 0..1, 0.5 = at the bound; null = unknown"),
        "rarity": _number("share of the series' history that lay as far out, 0..1; null = unknown"),
        "anomalous": {**_BOOLEAN, "description": _ANOMALOUS},
        "status": _text('"established", or why the point is unknown'),
        "words": _text("the verdict in a sentence"),
        "model_version": _text('version of the series\' bands; "" = there are none'),
    }
    points = _list(_object(tuple(point), point, closed=True), "points to judge") | {"minItems": 1}
    verdicts = _list(_object((*point, *judged), {**point, **judged}), "one verdict a point, in order of the request")
    return {"SeasonRequest": _object(("rows",), {"rows": points}, closed=True), "SeasonResponse": _answer({"rows": verdicts})}


def _root_cause_schemas() -> dict[str, Schema]:
    forms = {"oneOf": [{"required": ["service", "at"]}, {"required": ["rows", "window_start"]}]}
    return {
        "RootCauseRequest": _object((), _question(), closed=True) | forms,
        "RootCauseResponse": _answer(_report()),
    }


def _question() -> Schema:
    point = _point()
    rows = _list(
        _object(tuple(point), point, closed=True), "telemetry of the trouble and of hours before; absent = read the lake"
    )
    return {
        "service": _text("the service in trouble; with rows it may be left out"),
        "at": _moment("as of when to explain; null = the last of the rows"),
        "minutes": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": MOST_MINUTES,
            "description": "how long before `at` the trouble began, without rows only; absent = 10",
        },
        "rows": rows | {"minItems": 1},
        "edges": {
            "type": "array",
            "items": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
            "description": "calls as pairs of caller and callee, with rows only",
        },
        "window_start": _moment("when the trouble began, with rows only; what lies before is what it is compared with"),
        "step_s": {
            "type": "integer",
            "minimum": 1,
            "maximum": 3600,
            "description": "seconds between points of a series, with rows only; absent = 60",
        },
        "changes": _list(_change(closed=True), "changes of services, with rows only; absent = none were recorded"),
    }


def _report() -> Schema:
    return {
        "made_at": _moment("as of when it was made"),
        "window_start": _moment("first time of the telemetry that it looked at"),
        "window_end": _moment("last time of the telemetry that it looked at"),
        "symptom": _text('the service where the trouble showed; "" = unknown'),
        "causes": _list(_cause(), "candidates, the most probable first, at most 10"),
        "none_probability": _number("probability that it was none of the services looked at, 0..1"),
        "false_alarm": {"type": "boolean", "description": "whether most probably nothing began: a false alarm"},
        "decided": {"type": "boolean", "description": "whether the first cause is probable enough to be named alone"},
        "statement": _text("the finding in one sentence or two"),
        "would_decide": _texts("what would separate the likely causes, if it were known; empty where decided"),
    }


def _cause() -> Schema:
    cause = {
        "service": _text(_SERVICE),
        "probability": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "calibrated probability that it began the trouble",
        },
        "sentence": _text("why, in words"),
        "score": _number("sum of log odds before the prior"),
        "onset": _moment("when it began to stray; null = it never strayed far"),
        "path": _texts("services from this one along calls to the symptom"),
        "evidence": _list(_evidence(), "what speaks against it"),
        "changes": _list(_change(), "changes of the service just before the onset"),
    }
    return _object(("service", "probability", "sentence"), cause)


def _evidence() -> Schema:
    required = {
        "kind": _text("kind of evidence, in words"),
        "metric": _text("name of the metric"),
        "text": _text("all of it in words"),
        "since": _moment("since when it strays"),
        "seen": _number("its most extreme value in the window, unit of the metric; null = unknown"),
        "usual": _number("its baseline, unit of the metric; null = unknown"),
    }
    excess = _number("distance from the baseline in spreads of calm time; null = unknown")
    return _object(
        tuple(required), {**required, "excess": excess, "score": _number("what it adds to the ranking; null = unknown")}
    )


def _change(closed: bool = False) -> Schema:
    change = {
        "at": _moment("when it was made"),
        "service": _name("the service that was changed"),
        "kind": _name("deployment, config, scaling or another word"),
        "what": _text("what was changed, in words"),
    }
    return _object(("at", "service", "kind"), change, closed)


def _point() -> Schema:
    return {
        "service": _name(_SERVICE),
        "metric": _name("name of the metric, with labels as people write them: name{key=value}")
        | {"maxLength": MAX_METRIC_BYTES},
        "timestamp": _moment("time of the point"),
        "value": _number("the measured value, unit of the metric; null = unknown"),
    }


def _rows(meaning: str) -> Schema:
    return {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Row"}, "description": meaning}


def _answer(properties: Schema) -> Schema:
    """Return the body of an answer: what it goes back to, and what it says."""
    envelope = {
        "model": _text("name of the model"),
        "model_version": _text("version of the model that answered"),
        "request_id": _text("id of the request, that of the header x-request-id"),
    }
    return _object((*envelope, *properties), {**envelope, **properties})


def _object(required: tuple[str, ...], properties: Schema, closed: bool = False) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": not closed}


def _list(items: Schema, meaning: str) -> Schema:
    return {"type": "array", "items": items, "description": meaning}


def _map(values: Schema, meaning: str) -> Schema:
    return {"type": "object", "additionalProperties": values, "description": meaning}


def _texts(meaning: str) -> Schema:
    return _list({"type": "string"}, meaning)


def _text(meaning: str) -> Schema:
    return {"type": "string", "description": meaning}


def _name(meaning: str) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": MAX_NAME_BYTES, "description": meaning}


def _number(meaning: str) -> Schema:
    return {**_NUMBER, "description": meaning}


def _moment(meaning: str) -> Schema:
    return {"type": ["string", "null"], "format": "date-time", "description": meaning}
