"""Feature views, one constant a view: what Feast defines from, what training asks for, what the stream writes online.

`feature_repo/definitions.py` turns these into Feast objects;
`serving/online/online_features.py` writes the same names without Feast.
"""

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from data_contracts.schemas.metrics import SIGNALS
from data_contracts.schemas.season_schema import BAND_FEATURES, SEASONAL_BANDS
from data_contracts.schemas.telemetry_schemas import (
    NEIGHBOURS,
    SERIES_FEATURES,
    SERIES_FEATURES_TABLE,
    SERVICE_FEATURES,
    SERVICE_FEATURES_TABLE,
)
from data_contracts.series.tenant import DEFAULT_TENANT, checked_tenant

PROJECT: Final = "aiops"
"""Feast's project of the tenant `default`; the project is part of every online key."""

AVAILABLE_AT: Final = "available_at"
"""Time column of every point-in-time join: when a row could be known, not when it happened."""

TICK: Final = "event_timestamp"
"""Breaks ties between rows that became available at the same instant: the newer tick wins."""


@dataclass(frozen=True, slots=True, eq=False)  # constants: compared and hashed by identity
class ViewSpec:
    """One feature view: `features` of `table` by `entity` (also its join key); older than `ttl_s` seconds = unknown.

    Raises:
        ValueError: a feature or the entity is no column of `table`.
    """

    name: str
    entity: str
    table: pa.Schema
    features: tuple[str, ...]
    ttl_s: int
    description: str

    def __post_init__(self) -> None:
        """Refuse names that `table` does not hold."""
        unknown = sorted({self.entity, *self.features} - set(self.table.names))
        if unknown:
            raise ValueError(f"feature view {self.name}: {unknown} are not columns of its table; use names of {self.table.names}")

    @property
    def table_name(self) -> str:
        """Return the name of the lake table that holds the rows."""
        return str((self.table.metadata or {})[b"name"].decode())


@dataclass(frozen=True, slots=True)
class FeatureServiceSpec:
    """What one kind of model asks for: all features of the named views."""

    name: str
    views: tuple[str, ...]
    description: str


_TTL_S: Final = 7200
BAND_HORIZON_S: Final = 48 * 3600
"""How long seasonal bands hold: made every night, they outlive one night without a run."""
_OWN: Final = (
    *(n for n in SERVICE_FEATURES if n.startswith(tuple(f"{s}_" for s in SIGNALS))),
    "abnormal_share",
    "minutes_to_limit",
)
_AROUND: Final = tuple(n for n in SERVICE_FEATURES if n.startswith(tuple(f"{side}_" for side in NEIGHBOURS)))
_CONTEXT: Final = ("minutes_since_incident", "hour", "weekday")

SERIES_WINDOWS: Final = ViewSpec(
    "series_windows",
    "series",
    SERIES_FEATURES_TABLE,
    SERIES_FEATURES,
    _TTL_S,
    "Statistics of one series over windows of 5 min and 1 h, in the unit of its metric.",
)
SERVICE_HEALTH: Final = ViewSpec(
    "service_health",
    "service",
    SERVICE_FEATURES_TABLE,
    _OWN,
    _TTL_S,
    "How strange the golden signals of one service are now, and how near its resources are to their limits.",
)
SERVICE_NEIGHBOURS: Final = ViewSpec(
    "service_neighbours",
    "service",
    SERVICE_FEATURES_TABLE,
    _AROUND,
    _TTL_S,
    "How strange the callers and callees of one service are now.",
)
SERVICE_CONTEXT: Final = ViewSpec(
    "service_context",
    "service",
    SERVICE_FEATURES_TABLE,
    _CONTEXT,
    _TTL_S,
    "Time since the last known incident of one service, and the calendar.",
)
BANDS: Final = ViewSpec(
    "seasonal_bands",
    "series",
    SEASONAL_BANDS,
    BAND_FEATURES,
    BAND_HORIZON_S,
    "What one series is expected to do in the hours after the bands were made, with bounds; empty = no season established.",
)
VIEWS: Final = (SERIES_WINDOWS, SERVICE_HEALTH, SERVICE_NEIGHBOURS, SERVICE_CONTEXT, BANDS)
SERVICE_VIEWS: Final = tuple(view for view in VIEWS if view.table is SERVICE_FEATURES_TABLE)
SERIES_VIEWS: Final = tuple(view for view in VIEWS if view.table is SERIES_FEATURES_TABLE)
BAND_VIEWS: Final = (BANDS,)

DETECTION: Final = FeatureServiceSpec(
    "detection_v1",
    (SERVICE_HEALTH.name, SERVICE_NEIGHBOURS.name),
    "Is this service behaving abnormally now? Its own signals and those around it; no calendar, no incident history.",
)
INCIDENT_PREDICTION: Final = FeatureServiceSpec(
    "incident_prediction_v1",
    tuple(view.name for view in SERVICE_VIEWS),
    "Will an incident of this service start within 15 or 60 min? Everything known about the service.",
)
FEATURE_SERVICES: Final = (DETECTION, INCIDENT_PREDICTION)

_STATISTICS: Final[dict[str, str]] = {
    "worst": "largest abnormality among its series",
    "mean": "mean abnormality of its series",
    "level": "mean level of its series",
    "slope_per_min": "trend, per minute",
    "abnormal_share": "share of abnormal series, 0..1",
}
_PLAIN: Final[dict[str, str]] = {
    "last": "newest value, unit of the metric",
    "ewma": "exponentially weighted mean, unit of the metric",
    "ewma_dev": "exponentially weighted absolute deviation, unit of the metric",
    "abnormality": "how strange the newest value is; higher = stranger",
    "abnormal_share": "share of the service's series that are abnormal, 0..1",
    "minutes_to_limit": "minutes until the fastest-filling resource reaches its limit, by its trend",
    "minutes_since_incident": "minutes since the last known incident of the service",
    "hour": "hour of day, UTC, 0..23",
    "weekday": "day of week, Monday = 0",
    "starts_us": "time of the first slot of the bands, microseconds since 1970",
    "slot_s": "seconds from slot to slot of the bands",
    "expected": "expected value a slot, unit of the metric",
    "lower": "lower bound a slot, unit of the metric",
    "upper": "upper bound a slot, unit of the metric",
    "tail": "distance from the expected value, bound = 1, that fixed shares of the history went beyond",
    "strength": "how much smaller the season's error is than the flat median's on held-out days, 0..1",
    "model": "what made the bands",
    "status": "established, or why the season is not",
}
_OVER_WINDOW: Final[dict[str, str]] = {
    "mean": "mean over {}, unit of the metric",
    "std": "standard deviation over {}, unit of the metric",
    "min": "minimum over {}, unit of the metric",
    "max": "maximum over {}, unit of the metric",
    "median": "median over {}, unit of the metric",
    "mad_z": "distance of the newest value from the median over {}, in scaled MADs",
    "slope_per_min": "slope over {}, unit of the metric per minute",
    "rate_of_change": "relative change over {}, ratio",
    "gap_count": "ticks without a point over {}, count",
}


def describe(feature: str) -> str:
    """Return what `feature` is and its unit, in words.

    >>> describe("latency_worst")
    'latency signal: largest abnormality among its series'
    >>> describe("mean_5m")
    'mean over 5m, unit of the metric'

    Raises:
        KeyError: the name follows none of the patterns in `schemas`.
    """
    if feature in _PLAIN:
        return _PLAIN[feature]
    subject, _, statistic = feature.partition("_")
    if subject in SIGNALS:
        return f"{subject} signal: {_STATISTICS[statistic]}"
    if subject in NEIGHBOURS:
        return f"{subject} of the service: {_STATISTICS[statistic]}"
    statistic, _, window = feature.rpartition("_")
    return _OVER_WINDOW[statistic].format(window)


def project_of(tenant: str) -> str:
    """Return Feast's project of a tenant: letters, digits and underscores, as Feast asks; no two tenants share one.

    >>> project_of("default"), project_of("acme"), project_of("acme-2.eu")
    ('aiops', 'aiops__acme', 'aiops__acme_2d2_2eeu')

    Raises:
        TenantError: it breaks the rule of a tenant's name.
    """
    if checked_tenant(tenant) == DEFAULT_TENANT:
        return PROJECT
    plain = (letter if letter.isalnum() else f"_{ord(letter):02x}" for letter in tenant)
    return f"{PROJECT}__{''.join(plain)}"
