"""Arrow schemas of what a simulation knows to be true: deployments, drift, anomalies, bad rows. As `schemas`, of labels."""

from typing import Final

import pyarrow as pa

from data_contracts.schemas.arrow_columns import column, table
from data_contracts.schemas.telemetry_schemas import NAME, TIMESTAMP

DEPLOYMENTS: Final = table(
    "deployments",
    1,
    column("deployment_id", NAME),
    column("service", NAME),
    column("deployed_at", TIMESTAMP),
    column("harmful", pa.bool_(), meaning="caused a bad_deployment incident"),
)
"""Deployments of a simulation."""

DRIFT_TRUTH: Final = table(
    "drift_truth",
    1,
    column("service", NAME),
    column("kind", NAME, meaning="level, spread or season"),
    column("magnitude", pa.float64(), meaning="relative change; by kind, see the simulator"),
    column("starts_at", TIMESTAMP),
    column("complete_at", TIMESTAMP, meaning="from here on the change is whole"),
)
"""Changes of what is normal in a simulation."""

ANOMALY_TRUTH: Final = table(
    "anomaly_truth",
    1,
    column("service", NAME),
    column("metric", NAME),
    column("anomaly", NAME, meaning="point, contextual or collective"),
    column("shape", NAME, meaning="spike, displaced, stuck or sustained; see the simulator"),
    column("starts_at", TIMESTAMP),
    column("ends_at", TIMESTAMP, meaning="exclusive"),
)
"""Anomalies that were put into a simulation on demand."""

DIRTY_TRUTH: Final = table(
    "dirty_truth",
    1,
    column("kind", NAME, meaning="how the rows are bad"),
    column("rows", pa.int64()),
)
"""How many bad rows a simulation holds."""
