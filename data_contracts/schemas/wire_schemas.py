"""Arrow schemas of what receivers put on the broker: series defined once, then points and histograms by series id.

A sender's labels are read once a series: a definition says what the series is, all that follows names its id. Raw values are not
scored; `aiops.normalise` turns them into points. Logs, spans and exemplars travel beside them.
"""

from typing import Final

import pyarrow as pa

from data_contracts.schemas.arrow_columns import column, table
from data_contracts.schemas.telemetry_schemas import LABELS_MEANING, NAME, TIMESTAMP

ATTRIBUTES_MEANING: Final = "JSON object; `aiops.cut` in it says what was longer than is kept"
ROLES: Final = (
    "value",
    "total",
    "delta",
    "bucket",
    "bucket_sum",
    "bucket_count",
    "histogram",
    "histogram_delta",
)
"""What raw values of a series are: a gauge's value; the running total of a counter; an amount since the point before; the
cumulative bucket, sum or count of a classic histogram; whole histograms, cumulative or each since the one before."""

SERIES_DEFINITIONS: Final = table(
    "series_definitions",
    1,
    column("series_id", pa.int64(), meaning="of tenant, service, metric and labels: `series.key`"),
    column("service", NAME),
    column("metric", NAME, meaning="without labels, as the sender names it"),
    column("labels", NAME, meaning=LABELS_MEANING),
    column("role", NAME, meaning="one of ROLES"),
    column("family_id", pa.int64(), nullable=True, meaning="of the classic histogram that the series is a part of"),
    column("bound", pa.float64(), nullable=True, meaning="upper bound of a bucket; infinite = the last one"),
    column("unit", NAME, nullable=True, meaning="as the sender names it; null = by metric"),
    column("why", NAME, meaning="how the role is known, in words: declared by the sender, by its metadata, by a rule on names"),
)
"""What a series is: sent before its first point and again from time to time; a repeated definition changes nothing."""

WIRE_POINTS: Final = table(
    "wire_points",
    1,
    column("timestamp", TIMESTAMP, unit="us", timezone="UTC", meaning="event time"),
    column("series_id", pa.int64()),
    column("value", pa.float64(), meaning="as sent; the one NaN that senders mark the end of a series with stays that NaN"),
    column("started_at", TIMESTAMP, nullable=True, meaning="when the running total began; null = not said"),
)
"""Raw values of defined series, in order of arrival."""

WIRE_HISTOGRAMS: Final = table(
    "wire_histograms",
    1,
    column("timestamp", TIMESTAMP),
    column("series_id", pa.int64()),
    column("started_at", TIMESTAMP, nullable=True, meaning="when its running total began; null = not said"),
    column("count", pa.float64(), meaning="observations"),
    column("sum", pa.float64(), nullable=True, meaning="of the observed values; null = not said"),
    column("upper", pa.list_(pa.float64()), meaning="upper bounds of the buckets, ascending; the last may be infinite"),
    column("counts", pa.list_(pa.float64()), meaning="observations in each bucket alone, aligned to upper"),
)
"""Whole histograms of defined series: native ones, and the explicit and exponential ones of OTLP."""

NORMALISED_POINTS: Final = table(
    "normalised_points",
    1,
    column("timestamp", TIMESTAMP),
    column("series_id", pa.int64(), meaning="of the series that is scored"),
    column("value", pa.float64()),
)
"""What became of raw values, as it was scored: copied to the lake, where it gets its names from the catalogue of series."""

SERIES_CATALOGUE: Final = table(
    "series_catalogue",
    1,
    *SERIES_DEFINITIONS,
    column("scored", pa.bool_(), meaning="its points are scored under this id; false = only what is made of them is"),
    column("first_seen_at", TIMESTAMP, meaning="when its definition first reached the suite"),
)
"""Every series that receivers defined, one row an id, in the lake: `aiops series list`."""

EXEMPLARS: Final = table(
    "exemplars",
    1,
    column("timestamp", TIMESTAMP),
    column("series_id", pa.int64()),
    column("value", pa.float64()),
    column("trace_id", NAME, meaning="32 hexadecimal digits, as sent"),
    column("span_id", NAME, nullable=True, meaning="16 hexadecimal digits; null = not said"),
    column("available_at", TIMESTAMP, meaning="when it reached the suite"),
)
"""Single observations of a series with the trace they belong to: evidence."""

LOGS: Final = table(
    "logs",
    1,
    column("timestamp", TIMESTAMP, meaning="when it happened; where that is not said, when it was observed or received"),
    column("log_id", pa.int64(), meaning="of the request it came in and its place there: a request that is repeated counts once"),
    column("service", NAME),
    column("severity", NAME, meaning="as sent; empty = not said"),
    column("severity_number", pa.int8(), range="0..24", meaning="of OpenTelemetry; 0 = not said"),
    column("body", NAME, meaning="text as sent, another value as JSON"),
    column("event", NAME, nullable=True, meaning="name of the event that it is; null = none"),
    column("trace_id", NAME, nullable=True, meaning="32 hexadecimal digits; null = of no trace"),
    column("span_id", NAME, nullable=True, meaning="16 hexadecimal digits; null = of no span"),
    column("scope", NAME, meaning="name of the instrumentation scope; empty = not said"),
    column("attributes", NAME, meaning=ATTRIBUTES_MEANING),
    column("resource", NAME, meaning=ATTRIBUTES_MEANING),
    column("available_at", TIMESTAMP, meaning="when it reached the suite"),
)
"""Log records as received."""

SPANS: Final = table(
    "spans",
    1,
    column("timestamp", TIMESTAMP, meaning="its start"),
    column("duration_us", pa.int64(), unit="us", range=">= 0", meaning="its end less its start"),
    column("service", NAME),
    column("name", NAME, meaning="of the operation"),
    column("kind", NAME, meaning="internal, server, client, producer, consumer; empty = not said"),
    column("trace_id", NAME, meaning="32 hexadecimal digits"),
    column("span_id", NAME, meaning="16 hexadecimal digits"),
    column("parent_id", NAME, nullable=True, meaning="null = a root"),
    column("status", NAME, meaning="ok, error; empty = not said"),
    column("status_text", NAME, meaning="in words; empty = not said"),
    column("scope", NAME, meaning="name of the instrumentation scope; empty = not said"),
    column("attributes", NAME, meaning=ATTRIBUTES_MEANING),
    column("events", NAME, nullable=True, meaning="JSON array of objects with name, time_us and attributes; null = none"),
    column("links", NAME, nullable=True, meaning="JSON array of objects with trace_id, span_id and attributes; null = none"),
    column("trace_state", NAME, nullable=True, meaning="W3C tracestate of at most 512 bytes, as sent; null = none"),
    column("resource", NAME, meaning=ATTRIBUTES_MEANING),
    column("available_at", TIMESTAMP, meaning="when it reached the suite"),
)
"""Spans of traces as received."""

SIGNAL_TEXTS: Final = table(
    "signal_texts",
    1,
    column("known_at", TIMESTAMP, meaning="from when on the series is about this; said anew each day"),
    column("service", NAME),
    column("metric", NAME, meaning="with its labels, as people read it"),
    column("pattern", NAME, meaning="log pattern, or what changed, in words; empty = none"),
    column("example", NAME, meaning="a line as it was stored, masked; empty = none"),
)
"""What series made of logs and spans are about, for reasons of detections and root causes."""
