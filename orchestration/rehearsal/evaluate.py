"""What the replay's outputs are worth against the labels: incidents detected and foreseen, the predictor beside its baselines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from aiops.incidents.labels import horizon_labels
from aiops.signals.signal_sentences import SIGNAL_PREFIXES
from aiops.simulator.simulation_config import GRAY_KINDS
from aiops.topology.graph import ServiceGraph
from models.evaluation.measures import average_precision, precision_recall, trend_to_limit
from models.vectors.page_budget import PageBudget, PageCounter
from models.vectors.service_rows import rows_of
from models.vectors.truth import prediction_truth
from orchestration.rehearsal.opened_incidents import OpenedIncident, RootFigures, near, root_figures
from orchestration.rehearsal.run_result import IncidentLine, PredictorFigures

FORESEEABLE_MIN = 60


@dataclass(frozen=True, slots=True)
class Outputs:
    """What one replay left: pandas tables in the lake's schemas, UTC times; `opened` by the responder."""

    detections: pd.DataFrame
    predictions: pd.DataFrame
    features: pa.Table
    incidents: pa.Table
    graph: ServiceGraph
    opened: tuple[OpenedIncident, ...] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """Each labelled incident with what was said of it; incidents opened, and paged, without one; how well roots were named."""

    lines: tuple[IncidentLine, ...]
    false: int
    false_pages: int
    roots: RootFigures


def newest_revision(detections: pd.DataFrame) -> pd.DataFrame:
    """Return one row a detection id: its newest revision."""
    return detections.sort_values("revision").drop_duplicates("detection_id", keep="last").sort_values("timestamp")


def find_incidents(outputs: Outputs) -> Findings:
    """Match what was detected, foreseen and opened with the labels."""
    anomalous = newest_revision(outputs.detections)
    anomalous = anomalous[anomalous["anomalous"]]
    labels = outputs.incidents.to_pylist()
    detected = dict(_detected(outputs, labels))
    lines = tuple(_line(label, anomalous, outputs, detected.get(str(label["incident_id"]))) for label in labels)
    false = [incident for incident in outputs.opened if not any(incident.overlaps(label) for label in labels)]
    roots = root_figures(detected, {str(label["incident_id"]): str(label["service"]) for label in labels})
    return Findings(lines, len(false), sum(incident.paged for incident in false), roots)


def _detected(outputs: Outputs, labels: Sequence[Mapping[str, object]]) -> Iterator[tuple[str, OpenedIncident]]:
    """Yield each labelled incident that was opened, with the one about it: the first that has its service, else the first."""
    for label in labels:
        about = [opened for opened in outputs.opened if opened.touches(label, outputs.graph)]
        if about:
            yield (
                str(label["incident_id"]),
                next((opened for opened in about if str(label["service"]) in opened.services), about[0]),
            )


def _line(label: Mapping[str, object], anomalous: pd.DataFrame, outputs: Outputs, opened: OpenedIncident | None) -> IncidentLine:
    service, onset, starts, ends = (label[name] for name in ("service", "onset_at", "starts_at", "ends_at"))
    assert isinstance(service, str)
    assert isinstance(onset, datetime)
    assert isinstance(starts, datetime)
    assert isinstance(ends, datetime)
    seen = anomalous[anomalous["service"].isin(near(service, outputs.graph)) & anomalous["timestamp"].between(starts, ends)]
    is_gray = str(label["kind"]) in GRAY_KINDS
    if is_gray:  # what metrics say meanwhile is chance
        seen = seen[seen["metric"].fillna("").str.startswith(SIGNAL_PREFIXES)]
    pages = outputs.predictions[(outputs.predictions["service"] == service) & outputs.predictions["alarm"]]
    pages = pages[pages["timestamp"].between(starts - timedelta(minutes=FORESEEABLE_MIN), starts, inclusive="left")]
    causes = () if opened is None else opened.causes
    report = None if opened is None else opened.report
    return IncidentLine(
        str(label["incident_id"]),
        service,
        str(label["kind"]),
        starts,
        _minutes(starts - pages["timestamp"].min()) if len(pages) and onset < starts else None,
        _minutes(seen["timestamp"].min() - starts) if len(seen) else None,
        "" if opened is None else opened.incident_id,
        causes.index(service) + 1 if service in causes else None,
        is_gray,
        _seen_by(seen),
        "" if report is None else report.statement,
    )


def _seen_by(seen: pd.DataFrame) -> str:
    """Return the series of the first detection; "" where there is none, or it names no series."""
    named = seen[seen["metric"].notna()].sort_values("timestamp", kind="stable")
    return "" if named.empty else f"{named['metric'].iloc[0]} of {named['service'].iloc[0]}"


def _minutes(span: timedelta) -> float:
    return span.total_seconds() / 60


def predictor_figures(outputs: Outputs, lines: tuple[IncidentLine, ...]) -> PredictorFigures:
    """Return PR-AUC of P(incident within 60 min) over all predicted ticks, beside the base rate and the trend-to-limit rule."""
    predictions = outputs.predictions
    if predictions.empty or not predictions["p_60min"].notna().any():
        return PredictorFigures(
            None, None, None, reason="no incident predictor was trained: the history holds no labelled incident"
        )
    features = outputs.features.to_pandas().rename(columns={"event_timestamp": "timestamp"})
    joined = predictions.merge(features, on=["service", "timestamp"], how="inner").rename(
        columns={"timestamp": "event_timestamp"}
    )
    rows = rows_of(joined)
    labels = horizon_labels(pa.Table.from_pandas(joined[["service", "event_timestamp"]]), outputs.incidents, (FORESEEABLE_MIN,))
    truth_of = labels.labels[:, 0]
    counted = ~np.isnan(truth_of)
    if not (truth_of[counted] > 0).any():
        return PredictorFigures(None, 0.0, None, reason="no labelled incident starts within the replay")
    score = joined["p_60min"].to_numpy(dtype=np.float64)
    curve = precision_recall(truth_of[counted], score[counted])
    truth = prediction_truth(rows, labels.minutes_to_start, np.isnan(truth_of), float(FORESEEABLE_MIN))
    counter = PageCounter.over(rows, truth.false, PageBudget())
    leads = [line.foreseen_min for line in lines if line.foreseen_min is not None]
    return PredictorFigures(
        curve.area,
        float(truth_of[counted].mean()),
        float(np.mean(leads)) if leads else None,
        average_precision(truth_of[counted], trend_to_limit(rows)[counted]),
        curve.precision_at(0.5),
        counter.false_pages(joined["alarm"].to_numpy(dtype=np.bool_)) / counter.service_days if counter.service_days else None,
    )
