"""Arrow schemas, one constant a table, version in the schema metadata, unit and range in the field metadata.

Every table that crosses a process or a disk has its schema here; nothing else defines columns.
"""

from typing import Final

import pyarrow as pa

from data_contracts.schemas.arrow_columns import column, table
from data_contracts.schemas.metrics import SIGNALS

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


KINDS: Final = ("gauge", "counter", "histogram")
TEMPORALITIES: Final = ("cumulative", "delta")

TELEMETRY: Final = table(
    "telemetry",
    2,
    column("timestamp", TIMESTAMP, unit="us", timezone="UTC", meaning="event time"),
    column("service", NAME, max_bytes="200"),
    column("metric", NAME, max_bytes="500", meaning="without labels"),
    column("value", pa.float64(), unit="by metric", range="by metric"),
    column("labels", pa.map_(pa.string(), pa.string()), nullable=True),
    column("tenant", NAME, nullable=True, max_bytes="64", meaning="whose; null = the producer's"),
    column("kind", NAME, nullable=True, meaning="one of KINDS; null = gauge"),
    column("unit", NAME, nullable=True, meaning="as the source names it; null = by metric"),
    column("temporality", NAME, nullable=True, meaning="one of TEMPORALITIES; null = none for a gauge, else cumulative"),
)
"""What a source delivers. Optional columns may be absent; `data_contracts.telemetry.validate` accepts loosely typed tables too.

Version 1 had no kind, unit and temporality. What is cumulative is no accepted point before it is turned into rates.
"""

CODED_NAME: Final = pa.dictionary(pa.int32(), pa.string())
LABELS_MEANING: Final = 'canonical text, {"key":"value",…} ascending by key; empty = none'
SERIES: Final = table(
    "series",
    2,
    column("timestamp", TIMESTAMP, unit="us", timezone="UTC", meaning="event time"),
    column("series_id", pa.int64(), meaning="of tenant, service, metric and labels: `series.key`"),
    column("service", CODED_NAME),
    column("metric", CODED_NAME, meaning="without labels"),
    column("labels", CODED_NAME, meaning=LABELS_MEANING),
    column("value", pa.float64()),
)
"""Accepted points of one tenant: what every module after validation speaks. A series is one `series_id`."""

LAKE_TELEMETRY: Final = table(
    "lake_telemetry",
    2,
    column("timestamp", TIMESTAMP),
    column("series_id", pa.int64(), meaning="of tenant, service, metric and labels: `series.key`"),
    column("service", NAME),
    column("metric", NAME, meaning="without labels"),
    column("labels", NAME, meaning=LABELS_MEANING),
    column("value", pa.float64()),
    column("available_at", TIMESTAMP, meaning="when the row reached the suite: backfills replay in this order"),
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
    "unknown_series",
    "bad_id",
    "undecodable",
)

REJECTED: Final = table(
    "rejected",
    1,
    column("rejected_at", TIMESTAMP),
    column("reject_id", NAME, meaning="deterministic id of the row and its reason"),
    column("source", NAME),
    column("field", NAME),
    column("reason", NAME, meaning="one of REJECT_REASONS"),
    column("detail", NAME, meaning="the value, the rule and the fix, in words"),
    column("row", NAME, meaning="the row as JSON"),
)
"""Rows that broke the contract, as they came; `aiops rejected list` shows them."""

REDRIVEN: Final = table(
    "redriven",
    1,
    column("rejected_at", TIMESTAMP, meaning="of the rejected row: both are kept for the same days"),
    column("redriven_at", TIMESTAMP),
    column("reject_id", NAME),
)
"""Rejected rows that were accepted on a later try."""

SERIES_FEATURES_TABLE: Final = table(
    "series_features",
    2,
    column("event_timestamp", TIMESTAMP, meaning="the tick: features use points with timestamp <= tick"),
    column("available_at", TIMESTAMP, meaning="when the row could be known; the time of point-in-time joins"),
    column("series", NAME, meaning="the one text form of a series, `series.text`: the join key"),
    column("series_id", pa.int64()),
    column("service", NAME),
    column("metric", NAME, meaning="without labels"),
    column("labels", NAME, meaning=LABELS_MEANING),
    *(column(name, pa.float64(), nullable=True) for name in SERIES_FEATURES),
)
"""What is known of each series at each tick. Version 1 had the labels in the metric, and no id."""

SERVICE_FEATURES_TABLE: Final = table(
    "service_features",
    1,
    column("event_timestamp", TIMESTAMP, meaning="the tick: features use points with timestamp <= tick"),
    column("available_at", TIMESTAMP, meaning="when the row could be known; the time of point-in-time joins"),
    column("service", NAME),
    *(column(name, pa.float64(), nullable=True) for name in SERVICE_FEATURES),
)
"""What is known of each service at each tick: its own signals, those around it, the calendar."""

CANDIDATES: Final = table(
    "candidates",
    3,
    *SERVICE_FEATURES_TABLE,
    column("series_id", pa.int64(), nullable=True, meaning="of the service's worst point since the previous tick"),
    column("metric", NAME, nullable=True, meaning="of that point, without labels; null = no scored point"),
    column("labels", NAME, nullable=True, meaning=LABELS_MEANING),
    column("value", pa.float64(), nullable=True, meaning="of that point"),
    column("point_timestamp", TIMESTAMP, nullable=True, meaning="of that point"),
    column("z", pa.float64(), nullable=True, meaning="signed robust z of that point"),
    column("alarm_z", pa.float64(), nullable=True, meaning="|z| at which tier 1 raises the alarm for that series"),
    column("score", pa.float64(), nullable=True, range="0..1", meaning="tier 1 score of that point"),
    column("expected", pa.float64(), nullable=True),
    column("lower", pa.float64(), nullable=True, meaning="tier 1 bound"),
    column("upper", pa.float64(), nullable=True, meaning="tier 1 bound"),
    column("finding", NAME, nullable=True, meaning="what the second opinion of tier 1 says of that point; empty = nothing"),
    column("certain", pa.bool_(), nullable=True, meaning="that finding needs no other tier: none can judge it"),
    column("flagged", pa.bool_(), meaning="tier 1 raised the alarm"),
    column("scheduled", pa.bool_(), meaning="the prediction cadence fell on this tick"),
    column("tier1_version", NAME, meaning="of tier 1 when the tick closed; empty = the catalogue's default levels"),
    column(
        SEQUENCE,
        pa.list_(pa.float32(), len(SEQUENCE_FEATURES)),
        nullable=True,
        meaning="SEQUENCE_FEATURES; null = the service's past has a gap",
    ),
)
"""What stage 1 of the consumer routes to the models: a service's features at a tick and its worst point since the one before."""

INCIDENTS: Final = table(
    "incidents",
    1,
    column("incident_id", NAME),
    column("service", NAME, meaning="the root service"),
    column("kind", NAME),
    column("onset_at", TIMESTAMP, meaning="when the cause begins to build up (= starts_at for sudden kinds)"),
    column("starts_at", TIMESTAMP, meaning="when users begin to feel it"),
    column("ends_at", TIMESTAMP),
    column("known_at", TIMESTAMP, meaning="when the label became available"),
)
"""Labelled incidents, from sources and verdicts: what training and figures take for true."""

EDGES: Final = table(
    "edges",
    2,
    column("caller", NAME),
    column("callee", NAME),
    column("valid_from", TIMESTAMP, meaning="when the call was first known"),
    column("valid_to", TIMESTAMP, nullable=True, meaning="exclusive; null = still called"),
    column("seen_at", TIMESTAMP, nullable=True, meaning="last seen, for observed calls; null = declared"),
    column("origin", NAME, nullable=True, meaning="configuration, table, traces or learned; null (before version 2) = table"),
    column("weight", pa.float64(), nullable=True, meaning="calls seen when last looked, or the strength of a learned edge"),
)
"""Calls over time: a row is one interval of one call by one origin; a call that came back has several."""

CHANGES: Final = table(
    "changes",
    1,
    column("change_id", NAME, meaning="deterministic: the same change has the same id"),
    column("at", TIMESTAMP),
    column("service", NAME),
    column("kind", NAME, meaning="deployment, config, scaling or another word"),
    column("what", NAME, meaning="in words; may be empty"),
    column("source", NAME, meaning="who reported it"),
)
"""What people or machines did to services. Never whether it did harm: that is truth, and evidence may not hold it."""

DETECTIONS: Final = table(
    "detections",
    3,
    column("detection_id", NAME, meaning="deterministic: same input, same id"),
    column("revision", pa.int32(), meaning="0 = first word; 1 = after a deferred score caught up"),
    column("timestamp", TIMESTAMP),
    column("service", NAME),
    column("series_id", pa.int64(), nullable=True, meaning="of the worst metric; null before version 3"),
    column("metric", NAME, meaning="the worst metric, without labels"),
    column("labels", NAME, nullable=True, meaning=LABELS_MEANING),
    column("value", pa.float64()),
    column("score", pa.float64(), nullable=True, range="0..1"),
    column("expected", pa.float64(), nullable=True),
    column("lower", pa.float64(), nullable=True),
    column("upper", pa.float64(), nullable=True),
    column(
        "tier", pa.int8(), meaning="that decided: 1 = a series' recent past, 2 = its seasonal band, 3 = the service as a whole"
    ),
    column("model_version", NAME, meaning="of the deciding tier's model; empty = tier 1 by the catalogue's default levels"),
    column("anomalous", pa.bool_()),
    column("reason", NAME),
    column(
        "route", NAME, nullable=True, meaning="first and confirming tiers, why, version of the routing; null before version 2"
    ),
)
"""Findings. Expectation and bounds are those of tier 2 where it decided, else tier 1's."""

PREDICTIONS: Final = table(
    "predictions",
    2,
    column("timestamp", TIMESTAMP, meaning="tick of the features"),
    column("service", NAME),
    column("p_5min", pa.float64(), nullable=True, range="0..1", meaning="P(incident starts within 5 min)"),
    column("p_15min", pa.float64(), nullable=True, range="0..1", meaning="P(incident starts within 15 min)"),
    column("p_60min", pa.float64(), nullable=True, range="0..1", meaning="P(incident starts within 60 min)"),
    column("alarm", pa.bool_(), meaning="the page threshold was reached"),
    column("model_version", NAME),
    column("reason", NAME),
)
"""How likely an incident of a service starts soon. Version 1 had no `p_5min`."""

SERVED: Final = table(
    "served",
    1,
    column("served_at", TIMESTAMP),
    column("event_timestamp", TIMESTAMP, nullable=True, meaning="tick of the features, where the caller gave one"),
    column("request_id", NAME),
    column("service", NAME, nullable=True),
    column("model", NAME),
    column("model_version", NAME),
    column("role", NAME, meaning="champion, challenger or shadow"),
    column("score", pa.float64(), nullable=True),
    *(column(name, pa.float64(), nullable=True) for name in SERVICE_FEATURES),
)
"""What the scoring service answered, and the features it answered from: drift is measured on these rows."""
