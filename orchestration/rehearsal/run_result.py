"""What `aiops run` found: one record, printed as a table, written as JSON, drawn as a report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from orchestration.rehearsal.acted_run import ActedRun
from orchestration.suite.health import ModelLine

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class PredictorFigures:
    """The incident predictor on the replay; None where it could not be trained or nothing was labelled (`reason` says which).

    `pr_auc` and `base_rate` are for the 60 min horizon; `naive_pr_auc` is the trend-to-limit rule on the same rows.
    """

    pr_auc: float | None
    base_rate: float | None
    lead_min: float | None
    naive_pr_auc: float | None = None
    precision_at_recall_50: float | None = None
    false_pages_per_service_day: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DriftFigures:
    """How often drift was checked, found, and answered by a retraining."""

    checked: int
    drifted: int
    retrained: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LatencyFigures:
    """From a point's publication to its committed score, ms."""

    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class RequestFigures:
    """The load that ran against the service from before the first swap to the end."""

    sent: int
    failed: int


@dataclass(frozen=True, slots=True)
class IncidentLine:
    """One labelled incident of the replay and what the suite said of it.

    `opened` is the id of the responder's incident about it, "" = none; `root_rank` the place of the true service among its
    causes, 1 = first. `is_gray`: no metric shows it; `seen_by` = the series of its first detection; `statement` = what was said
    of its root cause.
    """

    incident_id: str
    service: str
    kind: str
    starts_at: datetime
    foreseen_min: float | None
    detected_min: float | None
    opened: str = ""
    root_rank: int | None = None
    is_gray: bool = False
    seen_by: str = ""
    statement: str = ""


@dataclass(frozen=True, slots=True)
class ResponderFigures:
    """From alerts to incidents: alerts that incidents took in, incidents paged, and those of them without a label.

    `judged`: labelled incidents with an analysis; of them, how often the true service was `root_first`, `root_among_three`, and
    how often it was simply the one that alerted first.
    """

    alerts: int = 0
    paged: int = 0
    false_pages: int = 0
    judged: int = 0
    root_first: int = 0
    root_among_three: int = 0
    alerted_first: int = 0


@dataclass(frozen=True, slots=True)
class RunResult:
    """The whole run; points_in = points_scored + points_warmup + rows_rejected, exactly."""

    source: str
    points_in: int
    points_scored: int
    points_warmup: int
    rows_rejected: int
    detections: int
    incidents: int
    predictor: PredictorFigures
    models: tuple[ModelLine, ...]
    swaps: int
    drift: DriftFigures
    parity_max_abs_diff: float
    latency_ms: LatencyFigures
    seconds: float
    history_points: int = 0
    rejected_by_reason: Mapping[str, int] = field(default_factory=dict)
    false_incidents: int = 0
    incidents_labelled: int = 0
    incidents_detected: int = 0
    incidents_foreseen: int = 0
    incident_lines: tuple[IncidentLine, ...] = ()
    responder: ResponderFigures = ResponderFigures()
    requests: RequestFigures = RequestFigures(0, 0)
    gate: tuple[str, ...] = ()
    acted: tuple[ActedRun, ...] = ()
    stages_s: Mapping[str, float] = field(default_factory=dict)
    report: str = ""
