from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Row(_message.Message):
    __slots__ = ("service", "event_time_us", "features")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    service: str
    event_time_us: int
    features: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, service: _Optional[str] = ..., event_time_us: _Optional[int] = ..., features: _Optional[_Iterable[float]] = ...) -> None: ...

class Rows(_message.Message):
    __slots__ = ("feature_names", "rows")
    FEATURE_NAMES_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    feature_names: _containers.RepeatedScalarFieldContainer[str]
    rows: _containers.RepeatedCompositeFieldContainer[Row]
    def __init__(self, feature_names: _Optional[_Iterable[str]] = ..., rows: _Optional[_Iterable[_Union[Row, _Mapping[str, object]]]] = ...) -> None: ...

class ScoreRequest(_message.Message):
    __slots__ = ("rows", "arrow_stream")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ARROW_STREAM_FIELD_NUMBER: _ClassVar[int]
    rows: Rows
    arrow_stream: bytes
    def __init__(self, rows: _Optional[_Union[Rows, _Mapping[str, object]]] = ..., arrow_stream: _Optional[bytes] = ...) -> None: ...

class ScoredRow(_message.Message):
    __slots__ = ("service", "event_time_us", "scores", "anomalous", "model_version", "looked_up", "unknown_features", "shares")
    class SharesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    ANOMALOUS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    LOOKED_UP_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FEATURES_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    service: str
    event_time_us: int
    scores: _containers.RepeatedScalarFieldContainer[float]
    anomalous: bool
    model_version: str
    looked_up: bool
    unknown_features: _containers.RepeatedScalarFieldContainer[str]
    shares: _containers.ScalarMap[str, float]
    def __init__(self, service: _Optional[str] = ..., event_time_us: _Optional[int] = ..., scores: _Optional[_Iterable[float]] = ..., anomalous: _Optional[bool] = ..., model_version: _Optional[str] = ..., looked_up: _Optional[bool] = ..., unknown_features: _Optional[_Iterable[str]] = ..., shares: _Optional[_Mapping[str, float]] = ...) -> None: ...

class ScoredRows(_message.Message):
    __slots__ = ("rows",)
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[ScoredRow]
    def __init__(self, rows: _Optional[_Iterable[_Union[ScoredRow, _Mapping[str, object]]]] = ...) -> None: ...

class ScoreResponse(_message.Message):
    __slots__ = ("model", "model_version", "request_id", "outputs", "thresholds", "rows", "arrow_stream")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ARROW_STREAM_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_version: str
    request_id: str
    outputs: _containers.RepeatedScalarFieldContainer[str]
    thresholds: _containers.RepeatedScalarFieldContainer[float]
    rows: ScoredRows
    arrow_stream: bytes
    def __init__(self, model: _Optional[str] = ..., model_version: _Optional[str] = ..., request_id: _Optional[str] = ..., outputs: _Optional[_Iterable[str]] = ..., thresholds: _Optional[_Iterable[float]] = ..., rows: _Optional[_Union[ScoredRows, _Mapping[str, object]]] = ..., arrow_stream: _Optional[bytes] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("model", "rows")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    model: str
    rows: Rows
    def __init__(self, model: _Optional[str] = ..., rows: _Optional[_Union[Rows, _Mapping[str, object]]] = ...) -> None: ...

class Contribution(_message.Message):
    __slots__ = ("feature", "value", "contribution")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    feature: str
    value: float
    contribution: float
    def __init__(self, feature: _Optional[str] = ..., value: _Optional[float] = ..., contribution: _Optional[float] = ...) -> None: ...

class ExplainedRow(_message.Message):
    __slots__ = ("service", "event_time_us", "score", "anomalous", "base_value", "margin", "contributions", "words", "model_version", "looked_up", "unknown_features", "shares")
    class SharesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    ANOMALOUS_FIELD_NUMBER: _ClassVar[int]
    BASE_VALUE_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    LOOKED_UP_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FEATURES_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    service: str
    event_time_us: int
    score: float
    anomalous: bool
    base_value: float
    margin: float
    contributions: _containers.RepeatedCompositeFieldContainer[Contribution]
    words: str
    model_version: str
    looked_up: bool
    unknown_features: _containers.RepeatedScalarFieldContainer[str]
    shares: _containers.ScalarMap[str, float]
    def __init__(self, service: _Optional[str] = ..., event_time_us: _Optional[int] = ..., score: _Optional[float] = ..., anomalous: _Optional[bool] = ..., base_value: _Optional[float] = ..., margin: _Optional[float] = ..., contributions: _Optional[_Iterable[_Union[Contribution, _Mapping[str, object]]]] = ..., words: _Optional[str] = ..., model_version: _Optional[str] = ..., looked_up: _Optional[bool] = ..., unknown_features: _Optional[_Iterable[str]] = ..., shares: _Optional[_Mapping[str, float]] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("model", "model_version", "request_id", "output", "threshold", "rows")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_version: str
    request_id: str
    output: str
    threshold: float
    rows: _containers.RepeatedCompositeFieldContainer[ExplainedRow]
    def __init__(self, model: _Optional[str] = ..., model_version: _Optional[str] = ..., request_id: _Optional[str] = ..., output: _Optional[str] = ..., threshold: _Optional[float] = ..., rows: _Optional[_Iterable[_Union[ExplainedRow, _Mapping[str, object]]]] = ...) -> None: ...

class Point(_message.Message):
    __slots__ = ("service", "metric", "timestamp_us", "value")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_US_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    service: str
    metric: str
    timestamp_us: int
    value: float
    def __init__(self, service: _Optional[str] = ..., metric: _Optional[str] = ..., timestamp_us: _Optional[int] = ..., value: _Optional[float] = ...) -> None: ...

class Points(_message.Message):
    __slots__ = ("rows",)
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[Point]
    def __init__(self, rows: _Optional[_Iterable[_Union[Point, _Mapping[str, object]]]] = ...) -> None: ...

class SeasonRequest(_message.Message):
    __slots__ = ("rows", "arrow_stream")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ARROW_STREAM_FIELD_NUMBER: _ClassVar[int]
    rows: Points
    arrow_stream: bytes
    def __init__(self, rows: _Optional[_Union[Points, _Mapping[str, object]]] = ..., arrow_stream: _Optional[bytes] = ...) -> None: ...

class JudgedPoint(_message.Message):
    __slots__ = ("service", "metric", "timestamp_us", "value", "expected", "lower", "upper", "score", "rarity", "anomalous", "status", "words", "model_version")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_US_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    RARITY_FIELD_NUMBER: _ClassVar[int]
    ANOMALOUS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    service: str
    metric: str
    timestamp_us: int
    value: float
    expected: float
    lower: float
    upper: float
    score: float
    rarity: float
    anomalous: bool
    status: str
    words: str
    model_version: str
    def __init__(self, service: _Optional[str] = ..., metric: _Optional[str] = ..., timestamp_us: _Optional[int] = ..., value: _Optional[float] = ..., expected: _Optional[float] = ..., lower: _Optional[float] = ..., upper: _Optional[float] = ..., score: _Optional[float] = ..., rarity: _Optional[float] = ..., anomalous: _Optional[bool] = ..., status: _Optional[str] = ..., words: _Optional[str] = ..., model_version: _Optional[str] = ...) -> None: ...

class JudgedPoints(_message.Message):
    __slots__ = ("rows",)
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[JudgedPoint]
    def __init__(self, rows: _Optional[_Iterable[_Union[JudgedPoint, _Mapping[str, object]]]] = ...) -> None: ...

class SeasonResponse(_message.Message):
    __slots__ = ("model", "model_version", "request_id", "rows", "arrow_stream")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ARROW_STREAM_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_version: str
    request_id: str
    rows: JudgedPoints
    arrow_stream: bytes
    def __init__(self, model: _Optional[str] = ..., model_version: _Optional[str] = ..., request_id: _Optional[str] = ..., rows: _Optional[_Union[JudgedPoints, _Mapping[str, object]]] = ..., arrow_stream: _Optional[bytes] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("caller", "callee")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    CALLEE_FIELD_NUMBER: _ClassVar[int]
    caller: str
    callee: str
    def __init__(self, caller: _Optional[str] = ..., callee: _Optional[str] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("at_us", "service", "kind", "what", "change_id", "source")
    AT_US_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    CHANGE_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    at_us: int
    service: str
    kind: str
    what: str
    change_id: str
    source: str
    def __init__(self, at_us: _Optional[int] = ..., service: _Optional[str] = ..., kind: _Optional[str] = ..., what: _Optional[str] = ..., change_id: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class Changes(_message.Message):
    __slots__ = ("changes",)
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[Change]
    def __init__(self, changes: _Optional[_Iterable[_Union[Change, _Mapping[str, object]]]] = ...) -> None: ...

class RootCauseRequest(_message.Message):
    __slots__ = ("service", "at_us", "minutes", "rows", "edges", "window_start_us", "step_s", "changes")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    AT_US_FIELD_NUMBER: _ClassVar[int]
    MINUTES_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    WINDOW_START_US_FIELD_NUMBER: _ClassVar[int]
    STEP_S_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    service: str
    at_us: int
    minutes: float
    rows: Points
    edges: _containers.RepeatedCompositeFieldContainer[Call]
    window_start_us: int
    step_s: int
    changes: Changes
    def __init__(self, service: _Optional[str] = ..., at_us: _Optional[int] = ..., minutes: _Optional[float] = ..., rows: _Optional[_Union[Points, _Mapping[str, object]]] = ..., edges: _Optional[_Iterable[_Union[Call, _Mapping[str, object]]]] = ..., window_start_us: _Optional[int] = ..., step_s: _Optional[int] = ..., changes: _Optional[_Union[Changes, _Mapping[str, object]]] = ...) -> None: ...

class Evidence(_message.Message):
    __slots__ = ("kind", "metric", "seen", "usual", "excess", "score", "since_us", "text")
    KIND_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    USUAL_FIELD_NUMBER: _ClassVar[int]
    EXCESS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SINCE_US_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    metric: str
    seen: float
    usual: float
    excess: float
    score: float
    since_us: int
    text: str
    def __init__(self, kind: _Optional[str] = ..., metric: _Optional[str] = ..., seen: _Optional[float] = ..., usual: _Optional[float] = ..., excess: _Optional[float] = ..., score: _Optional[float] = ..., since_us: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class Cause(_message.Message):
    __slots__ = ("service", "probability", "sentence", "score", "onset_us", "path", "evidence", "changes")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    ONSET_US_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    service: str
    probability: float
    sentence: str
    score: float
    onset_us: int
    path: _containers.RepeatedScalarFieldContainer[str]
    evidence: _containers.RepeatedCompositeFieldContainer[Evidence]
    changes: _containers.RepeatedCompositeFieldContainer[Change]
    def __init__(self, service: _Optional[str] = ..., probability: _Optional[float] = ..., sentence: _Optional[str] = ..., score: _Optional[float] = ..., onset_us: _Optional[int] = ..., path: _Optional[_Iterable[str]] = ..., evidence: _Optional[_Iterable[_Union[Evidence, _Mapping[str, object]]]] = ..., changes: _Optional[_Iterable[_Union[Change, _Mapping[str, object]]]] = ...) -> None: ...

class RootCauseResponse(_message.Message):
    __slots__ = ("model", "model_version", "request_id", "made_at_us", "window_start_us", "window_end_us", "symptom", "causes", "decided", "statement", "would_decide", "none_probability", "false_alarm")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MADE_AT_US_FIELD_NUMBER: _ClassVar[int]
    WINDOW_START_US_FIELD_NUMBER: _ClassVar[int]
    WINDOW_END_US_FIELD_NUMBER: _ClassVar[int]
    SYMPTOM_FIELD_NUMBER: _ClassVar[int]
    CAUSES_FIELD_NUMBER: _ClassVar[int]
    DECIDED_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    WOULD_DECIDE_FIELD_NUMBER: _ClassVar[int]
    NONE_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    FALSE_ALARM_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_version: str
    request_id: str
    made_at_us: int
    window_start_us: int
    window_end_us: int
    symptom: str
    causes: _containers.RepeatedCompositeFieldContainer[Cause]
    decided: bool
    statement: str
    would_decide: _containers.RepeatedScalarFieldContainer[str]
    none_probability: float
    false_alarm: bool
    def __init__(self, model: _Optional[str] = ..., model_version: _Optional[str] = ..., request_id: _Optional[str] = ..., made_at_us: _Optional[int] = ..., window_start_us: _Optional[int] = ..., window_end_us: _Optional[int] = ..., symptom: _Optional[str] = ..., causes: _Optional[_Iterable[_Union[Cause, _Mapping[str, object]]]] = ..., decided: _Optional[bool] = ..., statement: _Optional[str] = ..., would_decide: _Optional[_Iterable[str]] = ..., none_probability: _Optional[float] = ..., false_alarm: _Optional[bool] = ...) -> None: ...
