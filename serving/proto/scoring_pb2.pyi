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
