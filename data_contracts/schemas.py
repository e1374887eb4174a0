"""Arrow schemas, one constant a table, version in the schema metadata, unit and range in the field metadata.

Every table that crosses a process or a disk has its schema here; nothing else defines columns.
"""

from typing import Final

import pyarrow as pa

from data_contracts.metrics import SIGNALS

TIMESTAMP: Final = pa.timestamp("us", tz="UTC")
NAME: Final = pa.string()
WINDOWS: Final[tuple[tuple[str, int], ...]] = (("5m", 300), ("1h", 3600))
"""Feature windows: (suffix, length in seconds)."""

WINDOW_STATISTICS: Final = ("mean", "std", "min", "max", "median", "mad_z", "slope_per_min", "rate_of_change", "gap_count")
SERIES_FEATURES: Final[tuple[str, ...]] = (
    "last",
    "ewma",
    "ewma_dev",
    "abnormality",
    *(f"{statistic}_{suffix}" for suffix, _ in WINDOWS for statistic in WINDOW_STATISTICS),
)
"""Features of one series at one tick, float64, NaN = unknown."""

NEIGHBOURS: Final = ("callers", "callees")
SERVICE_FEATURES: Final[tuple[str, ...]] = (
    *(f"{signal}_{statistic}" for signal in SIGNALS for statistic in ("worst", "mean", "level", "slope_per_min")),
    "abnormal_share",
    *(f"{side}_{statistic}" for side in NEIGHBOURS for statistic in ("worst", "mean", "abnormal_share")),
    "minutes_to_limit",
    "minutes_since_incident",
    "hour",
    "weekday",
)
"""Features of one service at one tick, float64, NaN = unknown."""

SEQUENCE_SIGNALS: Final = tuple(f"{signal}_{statistic}" for signal in SIGNALS for statistic in ("worst", "level"))
SEQUENCE_STEPS: Final = 12
SEQUENCE_STEP_TICKS: Final = 5
SEQUENCE: Final = "sequence"
"""Column of a service's past at a tick: for each of the last 12 spans of 5 ticks, oldest first, the mean of each signal."""
SEQUENCE_FEATURES: Final[tuple[str, ...]] = tuple(
    f"{name}_{step}_spans_ago" for step in range(SEQUENCE_STEPS - 1, -1, -1) for name in SEQUENCE_SIGNALS
)
"""Names of that column's entries, in order; NaN = unknown."""


def _field(name: str, kind: pa.DataType, nullable: bool = False, **metadata: str) -> "pa.Field[pa.DataType]":
    return pa.field(name, kind, nullable=nullable, metadata=metadata or None)


def _schema(name: str, version: int, *fields: "pa.Field[pa.DataType]") -> pa.Schema:
    return pa.schema(list(fields), metadata={"name": name, "version": str(version)})


KINDS: Final = ("gauge", "counter", "histogram")
TEMPORALITIES: Final = ("cumulative", "delta")

TELEMETRY: Final = _schema(
    "telemetry",
    2,
    _field("timestamp", TIMESTAMP, unit="us", timezone="UTC", meaning="event time"),
    _field("service", NAME, max_bytes="200"),
    _field("metric", NAME, max_bytes="500", meaning="without labels"),
    _field("value", pa.float64(), unit="by metric", range="by metric"),
    _field("labels", pa.map_(pa.string(), pa.string()), nullable=True),
    _field("tenant", NAME, nullable=True, max_bytes="64", meaning="whose; null = the producer's"),
    _field("kind", NAME, nullable=True, meaning="one of KINDS; null = gauge"),
    _field("unit", NAME, nullable=True, meaning="as the source names it; null = by metric"),
    _field("temporality", NAME, nullable=True, meaning="one of TEMPORALITIES; null = none for a gauge, else cumulative"),
)
"""What a source delivers. Optional columns may be absent; `data_contracts.validate` accepts loosely typed tables too.

Version 1 had no kind, unit and temporality. What is cumulative is no accepted point before it is turned into rates.
"""

CODED_NAME: Final = pa.dictionary(pa.int32(), pa.string())
LABELS_MEANING: Final = 'canonical text, {"key":"value",…} ascending by key; empty = none'
SERIES: Final = _schema(
    "series",
    2,
    _field("timestamp", TIMESTAMP, unit="us", timezone="UTC", meaning="event time"),
    _field("series_id", pa.int64(), meaning="of tenant, service, metric and labels: `series.key`"),
    _field("service", CODED_NAME),
    _field("metric", CODED_NAME, meaning="without labels"),
    _field("labels", CODED_NAME, meaning=LABELS_MEANING),
    _field("value", pa.float64()),
)
"""Accepted points of one tenant: what every module after validation speaks. A series is one `series_id`."""

LAKE_TELEMETRY: Final = _schema(
    "lake_telemetry",
    2,
    _field("timestamp", TIMESTAMP),
    _field("series_id", pa.int64(), meaning="of tenant, service, metric and labels: `series.key`"),
    _field("service", NAME),
    _field("metric", NAME, meaning="without labels"),
    _field("labels", NAME, meaning=LABELS_MEANING),
    _field("value", pa.float64()),
    _field("available_at", TIMESTAMP, meaning="when the row reached the suite: backfills replay in this order"),
)
"""Points of one tenant, whose partition they lie in. Version 1 had the labels in the metric, and no id."""

REJECT_REASONS: Final = (
    "missing_value",
    "non_finite",
    "bad_timestamp",
    "future_timestamp",
    "out_of_range",
    "name",
    "foreign_tenant",
    "kind",
    "not_normalised",
    "duplicate",
    "too_late",
    "too_many_series",
    "too_many_tenants",
    "series_collision",
    "undecodable",
)

REJECTED: Final = _schema(
    "rejected",
    1,
    _field("rejected_at", TIMESTAMP),
    _field("reject_id", NAME, meaning="deterministic id of the row and its reason"),
    _field("source", NAME),
    _field("field", NAME),
    _field("reason", NAME, meaning="one of REJECT_REASONS"),
    _field("detail", NAME, meaning="the value, the rule and the fix, in words"),
    _field("row", NAME, meaning="the row as JSON"),
)

REDRIVEN: Final = _schema(
    "redriven",
    1,
    _field("rejected_at", TIMESTAMP, meaning="of the rejected row: both are kept for the same days"),
    _field("redriven_at", TIMESTAMP),
    _field("reject_id", NAME),
)
"""Rejected rows that were accepted on a later try."""

SERIES_FEATURES_TABLE: Final = _schema(
    "series_features",
    2,
    _field("event_timestamp", TIMESTAMP, meaning="the tick: features use points with timestamp <= tick"),
    _field("available_at", TIMESTAMP, meaning="when the row could be known; the time of point-in-time joins"),
    _field("series", NAME, meaning="the one text form of a series, `series.text`: the join key"),
    _field("series_id", pa.int64()),
    _field("service", NAME),
    _field("metric", NAME, meaning="without labels"),
    _field("labels", NAME, meaning=LABELS_MEANING),
    *(_field(name, pa.float64(), nullable=True) for name in SERIES_FEATURES),
)

SERVICE_FEATURES_TABLE: Final = _schema(
    "service_features",
    1,
    _field("event_timestamp", TIMESTAMP, meaning="the tick: features use points with timestamp <= tick"),
    _field("available_at", TIMESTAMP, meaning="when the row could be known; the time of point-in-time joins"),
    _field("service", NAME),
    *(_field(name, pa.float64(), nullable=True) for name in SERVICE_FEATURES),
)

CANDIDATES: Final = _schema(
    "candidates",
    3,
    *SERVICE_FEATURES_TABLE,
    _field("series_id", pa.int64(), nullable=True, meaning="of the service's worst point since the previous tick"),
    _field("metric", NAME, nullable=True, meaning="of that point, without labels; null = no scored point"),
    _field("labels", NAME, nullable=True, meaning=LABELS_MEANING),
    _field("value", pa.float64(), nullable=True, meaning="of that point"),
    _field("point_timestamp", TIMESTAMP, nullable=True, meaning="of that point"),
    _field("z", pa.float64(), nullable=True, meaning="signed robust z of that point"),
    _field("alarm_z", pa.float64(), nullable=True, meaning="|z| at which tier 1 raises the alarm for that series"),
    _field("score", pa.float64(), nullable=True, range="0..1", meaning="tier 1 score of that point"),
    _field("expected", pa.float64(), nullable=True),
    _field("lower", pa.float64(), nullable=True, meaning="tier 1 bound"),
    _field("upper", pa.float64(), nullable=True, meaning="tier 1 bound"),
    _field("finding", NAME, nullable=True, meaning="what the second opinion of tier 1 says of that point; empty = nothing"),
    _field("certain", pa.bool_(), nullable=True, meaning="that finding needs no other tier: none can judge it"),
    _field("flagged", pa.bool_(), meaning="tier 1 raised the alarm"),
    _field("scheduled", pa.bool_(), meaning="the prediction cadence fell on this tick"),
    _field("tier1_version", NAME, meaning="of tier 1 when the tick closed; empty = the catalogue's default levels"),
    _field(
        SEQUENCE,
        pa.list_(pa.float32(), len(SEQUENCE_FEATURES)),
        nullable=True,
        meaning="SEQUENCE_FEATURES; null = the service's past has a gap",
    ),
)
"""What stage 1 of the consumer routes to the models: a service's features at a tick and its worst point since the one before."""

INCIDENTS: Final = _schema(
    "incidents",
    1,
    _field("incident_id", NAME),
    _field("service", NAME, meaning="the root service"),
    _field("kind", NAME),
    _field("onset_at", TIMESTAMP, meaning="when the cause begins to build up (= starts_at for sudden kinds)"),
    _field("starts_at", TIMESTAMP, meaning="when users begin to feel it"),
    _field("ends_at", TIMESTAMP),
    _field("known_at", TIMESTAMP, meaning="when the label became available"),
)

EDGES: Final = _schema(
    "edges",
    2,
    _field("caller", NAME),
    _field("callee", NAME),
    _field("valid_from", TIMESTAMP, meaning="when the call was first known"),
    _field("valid_to", TIMESTAMP, nullable=True, meaning="exclusive; null = still called"),
    _field("seen_at", TIMESTAMP, nullable=True, meaning="last seen, for observed calls; null = declared"),
    _field("origin", NAME, nullable=True, meaning="configuration, table, traces or learned; null (before version 2) = table"),
    _field("weight", pa.float64(), nullable=True, meaning="calls seen when last looked, or the strength of a learned edge"),
)
"""Calls over time: a row is one interval of one call by one origin; a call that came back has several."""

CHANGES: Final = _schema(
    "changes",
    1,
    _field("change_id", NAME, meaning="deterministic: the same change has the same id"),
    _field("at", TIMESTAMP),
    _field("service", NAME),
    _field("kind", NAME, meaning="deployment, config, scaling or another word"),
    _field("what", NAME, meaning="in words; may be empty"),
    _field("source", NAME, meaning="who reported it"),
)
"""What people or machines did to services. Never whether it did harm: that is truth, and evidence may not hold it."""

DETECTIONS: Final = _schema(
    "detections",
    3,
    _field("detection_id", NAME, meaning="deterministic: same input, same id"),
    _field("revision", pa.int32(), meaning="0 = first word; 1 = after a deferred score caught up"),
    _field("timestamp", TIMESTAMP),
    _field("service", NAME),
    _field("series_id", pa.int64(), nullable=True, meaning="of the worst metric; null before version 3"),
    _field("metric", NAME, meaning="the worst metric, without labels"),
    _field("labels", NAME, nullable=True, meaning=LABELS_MEANING),
    _field("value", pa.float64()),
    _field("score", pa.float64(), nullable=True, range="0..1"),
    _field("expected", pa.float64(), nullable=True),
    _field("lower", pa.float64(), nullable=True),
    _field("upper", pa.float64(), nullable=True),
    _field(
        "tier", pa.int8(), meaning="that decided: 1 = a series' recent past, 2 = its seasonal band, 3 = the service as a whole"
    ),
    _field("model_version", NAME, meaning="of the deciding tier's model; empty = tier 1 by the catalogue's default levels"),
    _field("anomalous", pa.bool_()),
    _field("reason", NAME),
    _field(
        "route", NAME, nullable=True, meaning="first and confirming tiers, why, version of the routing; null before version 2"
    ),
)
"""Findings. Expectation and bounds are those of tier 2 where it decided, else tier 1's."""

PREDICTIONS: Final = _schema(
    "predictions",
    2,
    _field("timestamp", TIMESTAMP, meaning="tick of the features"),
    _field("service", NAME),
    _field("p_5min", pa.float64(), nullable=True, range="0..1", meaning="P(incident starts within 5 min)"),
    _field("p_15min", pa.float64(), nullable=True, range="0..1", meaning="P(incident starts within 15 min)"),
    _field("p_60min", pa.float64(), nullable=True, range="0..1", meaning="P(incident starts within 60 min)"),
    _field("alarm", pa.bool_(), meaning="the page threshold was reached"),
    _field("model_version", NAME),
    _field("reason", NAME),
)

SERVED: Final = _schema(
    "served",
    1,
    _field("served_at", TIMESTAMP),
    _field("event_timestamp", TIMESTAMP, nullable=True, meaning="tick of the features, where the caller gave one"),
    _field("request_id", NAME),
    _field("service", NAME, nullable=True),
    _field("model", NAME),
    _field("model_version", NAME),
    _field("role", NAME, meaning="champion, challenger or shadow"),
    _field("score", pa.float64(), nullable=True),
    *(_field(name, pa.float64(), nullable=True) for name in SERVICE_FEATURES),
)

DEPLOYMENTS: Final = _schema(
    "deployments",
    1,
    _field("deployment_id", NAME),
    _field("service", NAME),
    _field("deployed_at", TIMESTAMP),
    _field("harmful", pa.bool_(), meaning="caused a bad_deployment incident"),
)

DRIFT_TRUTH: Final = _schema(
    "drift_truth",
    1,
    _field("service", NAME),
    _field("kind", NAME, meaning="level, spread or season"),
    _field("magnitude", pa.float64(), meaning="relative change; by kind, see the simulator"),
    _field("starts_at", TIMESTAMP),
    _field("complete_at", TIMESTAMP, meaning="from here on the change is whole"),
)

ANOMALY_TRUTH: Final = _schema(
    "anomaly_truth",
    1,
    _field("service", NAME),
    _field("metric", NAME),
    _field("anomaly", NAME, meaning="point, contextual or collective"),
    _field("shape", NAME, meaning="spike, displaced, stuck or sustained; see the simulator"),
    _field("starts_at", TIMESTAMP),
    _field("ends_at", TIMESTAMP, meaning="exclusive"),
)

DIRTY_TRUTH: Final = _schema(
    "dirty_truth",
    1,
    _field("kind", NAME, meaning="how the rows are bad"),
    _field("rows", pa.int64()),
)
