"""Detections and predictions → alerts: what the consumer found, in the one form that correlation, silences and people speak.

A detection is critical where its score is high *and* users feel it: slow answers, errors, or customers' traffic that breaks in.
A full disk or a busy processor is a cause, not a symptom, and stays a warning until something that users feel joins it. What a
process or a host does inside (`internals`) is information: it opens an incident and pages nobody.

Source: Beyer et al., Site Reliability Engineering (2016), chapter 6: page on symptoms.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.incidents.alert import Alert, Severity, fingerprint_of
from aiops.types import FloatArray
from data_contracts.schemas.internals import is_internal
from data_contracts.schemas.metrics import nature_of, spec_of
from data_contracts.series.metric_texts import metric_texts

DETECTED: Final = "detections"
FORESEEN: Final = "predictions"
"""Sources of alerts."""
FORESEEN_NAME: Final = "incident foreseen"
_HORIZONS: Final = (("p_5min", "5 min"), ("p_15min", "15 min"), ("p_60min", "60 min"))
_LIKELY: Final = 0.5

Series = tuple[str, str]


@dataclass(frozen=True, slots=True)
class AlertRules:
    """`critical_score`: from which a symptom is critical; `thresholds`: least score of an alert, by (service, metric text)."""

    critical_score: float = 0.9
    thresholds: Mapping[Series, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DetectionAlerts:
    """Alerts in the order of their rows, how many detections lay below their series' threshold, and the newest time of a row."""

    alerts: tuple[Alert, ...] = ()
    below_threshold: int = 0
    newest: datetime | None = None


def alerts_of_detections(rows: pa.Table, rules: AlertRules) -> DetectionAlerts:
    """Return the alerts of rows of schema `DETECTIONS`; a later revision that is no alarm ends the alert of the first.

    Rows that nobody alarms about cost no Python object. The id names detection and revision, so a repeated read repeats no alert.
    """
    newest = _newest(rows)
    alarm: Any = rows["anomalous"]
    wanted: Any = pc.or_(alarm, pc.greater(rows["revision"], pa.scalar(0, pa.int32())))
    reported = _with_texts(rows.filter(wanted))
    loud = reported.filter(_loud(reported, rules.thresholds)) if rules.thresholds else reported
    columns = [loud[name].to_pylist() for name in _DETECTED_COLUMNS]
    alerts = tuple(_detected(_Detected(*row), rules) for row in zip(*columns, strict=True))
    return DetectionAlerts(alerts, reported.num_rows - loud.num_rows, newest)


def alerts_of_predictions(rows: pa.Table) -> DetectionAlerts:
    """Return one warning a row of schema `PREDICTIONS` with an alarm.

    `value` = P(incident within 60 min), `score` = P(incident within the horizon that is named).
    """
    alarms = rows.filter(rows["alarm"])
    times: list[Any] = alarms["timestamp"].to_pylist()
    services: list[Any] = alarms["service"].to_pylist()
    chances = zip(*(_numbers(alarms, name).tolist() for name, _ in _HORIZONS), strict=True)
    alerts = (_foreseen(at, service, row) for at, service, row in zip(times, services, chances, strict=True))
    return DetectionAlerts(tuple(alerts), 0, _newest(rows))


def _with_texts(rows: pa.Table) -> pa.Table:
    """Return rows whose metric says the labels too: alerts, thresholds and people go by that text."""
    return rows.set_column(rows.schema.get_field_index("metric"), "metric", pa.array(metric_texts(rows), pa.string()))


class _Detected(NamedTuple):
    detection_id: str
    revision: int
    timestamp: datetime
    service: str
    metric: str
    value: float
    score: float | None
    lower: float | None
    tier: int
    anomalous: bool
    reason: str


_DETECTED_COLUMNS: Final = _Detected._fields


def _detected(row: _Detected, rules: AlertRules) -> Alert:
    score = float("nan") if row.score is None else row.score
    name = f"{row.metric} is unusual"
    stable = {"service": row.service, "alertname": name, "metric": row.metric}
    falling = row.lower is not None and row.value < row.lower
    critical = score >= rules.critical_score and affects_users(row.metric, falling)
    severity = Severity.INFO if is_internal(row.metric) else Severity.CRITICAL if critical else Severity.WARNING
    return Alert(
        alert_id=f"{row.detection_id}:{row.revision}",
        fingerprint=fingerprint_of(stable),
        service=row.service,
        name=name,
        severity=severity,
        starts_at=row.timestamp,
        ends_at=None if row.anomalous else row.timestamp,
        value=row.value,
        labels={**stable, "tier": str(row.tier), "reason": row.reason},
        source=DETECTED,
        score=score,
    )


def _foreseen(at: datetime, service: str, chances: Sequence[float]) -> Alert:
    stable = {"service": service, "alertname": FORESEEN_NAME}
    digest = hashlib.blake2b(f"{service}|{at.isoformat()}".encode(), digest_size=8).hexdigest()
    likely = (place for place, chance in enumerate(chances) if chance >= _LIKELY)
    place = next(likely, len(chances) - 1)
    labels = {**stable, "horizon": _HORIZONS[place][1]}
    head = (service, FORESEEN_NAME, Severity.WARNING, at)
    return Alert(
        f"foreseen-{digest}",
        fingerprint_of(stable),
        *head,
        value=chances[-1],
        labels=labels,
        source=FORESEEN,
        score=chances[place],
    )


def _loud(rows: pa.Table, thresholds: Mapping[Series, float]) -> pa.BooleanArray:
    """Return where a row is no alarm below its series' threshold; one of unknown score, or that ends an alert, always counts."""
    services: list[Any] = rows["service"].to_pylist()
    metrics: list[Any] = rows["metric"].to_pylist()
    least = np.array([thresholds.get(name, -np.inf) for name in zip(services, metrics, strict=True)], dtype=np.float64)
    scores = _numbers(rows, "score")
    ending = ~np.asarray(rows["anomalous"].to_numpy(zero_copy_only=False), dtype=np.bool_)
    loud: pa.BooleanArray = pa.array(~(scores < least) | ending)
    return loud


def _numbers(rows: pa.Table, name: str) -> FloatArray:
    """Return a column as (n,) float64, NaN where it is null or absent (rows of before it was there)."""
    if name not in rows.column_names:
        return np.full(rows.num_rows, np.nan)
    return np.asarray(rows[name].to_numpy(zero_copy_only=False), dtype=np.float64)


def _newest(rows: pa.Table) -> datetime | None:
    newest: datetime | None = pc.max(rows["timestamp"]).as_py()
    return newest


def affects_users(metric: str, falling: bool) -> bool:
    """Return whether users feel it when a metric strays: slow, wrong, or no longer there.

    >>> affects_users("latency_p99_ms", falling=False), affects_users("cpu_utilization", falling=False)
    (True, False)
    >>> affects_users("requests_per_second", falling=True)
    True
    """
    signal = spec_of(metric).signal
    return signal in ("latency", "errors") or (signal == "traffic" and falling and nature_of(metric) == "business")
