"""From the story of a run to its figures, its JSON and its report."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from aiops.types import HistorySplit
from data_contracts.series.metric_texts import with_metric_texts
from models.artifacts.catalog import trained_models
from orchestration.pipeline.deployment import current_version
from orchestration.rehearsal import loop_figures
from orchestration.rehearsal.evaluate import Findings, Outputs, find_incidents, predictor_figures
from orchestration.rehearsal.html_report import Figure, write_report
from orchestration.rehearsal.opened_incidents import opened_incidents
from orchestration.rehearsal.run import Story
from orchestration.rehearsal.run_result import DriftFigures, LatencyFigures, RequestFigures, ResponderFigures, RunResult
from orchestration.suite.health import ModelLine
from orchestration.workspace.workspace import Workspace
from serving.incidents.store.incident_store import IncidentStore
from serving.root_cause.lake_explainer import RootCauseAnalyst

SHOWN_METRICS = 5


@dataclass(frozen=True, slots=True)
class _Evaluated:
    """A run of `seconds` over a source, and what its outputs are worth."""

    source: str
    seconds: float
    outputs: Outputs
    findings: Findings


def conclude(workspace: Workspace, story: Story, split: HistorySplit, source: str, seconds: float) -> RunResult:
    """Return the figures of a run of `seconds` over a source and write its report below `<home>/report`."""
    outputs = _outputs(workspace, split)
    run = _Evaluated(source, seconds, outputs, find_incidents(outputs))
    folder = workspace.settings.root / "report"
    folder.mkdir(parents=True, exist_ok=True)
    result = _result(workspace, story, run, folder / "index.html")
    pictures = list(_figures(workspace, story, run, split))
    links = [(f"Evidently: {title}", _linked(folder, m.check.report)) for title, m in story.checks if m.check.report]
    write_report(folder / "index.html", result, pictures, links)
    return result


def _outputs(workspace: Workspace, split: HistorySplit) -> Outputs:
    lake, start, end = workspace.lake, split.replay_start, split.replay_end
    incidents = lake.read("incidents", start, end)
    with IncidentStore.open(workspace.settings.incident_store_url, workspace.tenant) as store:
        opened = opened_incidents(store, start, end)
    return Outputs(
        lake.read("detections", start, end).to_pandas(),
        lake.read("predictions", start, end).to_pandas(),
        lake.read("service_features", start, end),
        incidents,
        workspace.graph(),
        opened,
    )


def _result(workspace: Workspace, story: Story, run: _Evaluated, report: Path) -> RunResult:
    outputs, findings = run.outputs, run.findings
    counts, lines = story.counts, findings.lines
    reasons = tuple(f"{title}: {measured.report.reason}" for title, measured in story.checks)
    drifted = sum(measured.report.drifted for _, measured in story.checks)
    return RunResult(
        source=run.source,
        points_in=counts.get("points_in", 0),
        points_scored=counts.get("points_scored", 0),
        points_warmup=counts.get("points_warmup", 0),
        rows_rejected=counts.get("points_rejected", 0),
        detections=int(outputs.detections.loc[outputs.detections["anomalous"], "detection_id"].nunique()),
        incidents=len(outputs.opened),
        predictor=predictor_figures(outputs, lines),
        models=tuple(_model_lines(workspace)),
        swaps=story.swaps,
        drift=DriftFigures(sum(m.report.checked for _, m in story.checks), drifted, story.retrained, reasons),
        parity_max_abs_diff=story.parity,
        latency_ms=LatencyFigures(story.p50_ms, story.p99_ms),
        seconds=round(run.seconds, 1),
        history_points=story.history_points,
        rejected_by_reason={k.removeprefix("rejected."): v for k, v in counts.items() if k.startswith("rejected.")},
        incidents_labelled=len(lines),
        incidents_detected=sum(line.detected_min is not None for line in lines),
        incidents_foreseen=sum(line.foreseen_min is not None for line in lines),
        false_incidents=findings.false,
        incident_lines=lines,
        responder=_responder_figures(outputs, findings),
        requests=RequestFigures(story.sent, story.failed),
        gate=tuple(story.gate),
        acted=story.acted,
        stages_s={title: round(seconds, 1) for title, seconds in story.stages_s.items()},
        report=str(report),
    )


def _responder_figures(outputs: Outputs, findings: Findings) -> ResponderFigures:
    roots, opened = findings.roots, outputs.opened
    alerts, paged = sum(incident.alerts for incident in opened), sum(incident.paged for incident in opened)
    return ResponderFigures(
        alerts, paged, findings.false_pages, roots.judged, roots.first, roots.among_three, roots.alerted_first
    )


def _model_lines(workspace: Workspace) -> Iterator[ModelLine]:
    for name in trained_models():
        for version in workspace.registry.versions(name):
            yield ModelLine(name, version.version, ", ".join(version.aliases))


def _figures(workspace: Workspace, story: Story, run: _Evaluated, split: HistorySplit) -> Iterator[Figure]:
    outputs, findings = run.outputs, run.findings
    foreseen = next((line for line in findings.lines if line.foreseen_min is not None), None)
    sudden = next((line for line in findings.lines if line.detected_min is not None and line is not foreseen), None)
    for title, line in (("A foreseen incident", foreseen), ("A detected incident", sudden)):
        if line is not None:
            before = "not foreseen" if line.foreseen_min is None else f"foreseen {line.foreseen_min:.0f} min before"
            after = "not detected" if line.detected_min is None else f"seen {line.detected_min:.0f} min after it began"
            caption = f"{line.kind} in {line.service}: {before}, {after}."
            yield Figure(title, caption, _incident(workspace, outputs, line.incident_id))
    yield from _explained(workspace, outputs, findings)
    for name in trained_models():
        yield from _training_figures(workspace, name)
    threshold = workspace.settings.drift.column_threshold
    checks = [(title, measured.report) for title, measured in story.checks]
    bars = loop_figures.drift_figure(checks, threshold)
    yield Figure("Drift before and after", "Distance of what was served from the training reference.", bars)
    bands = loop_figures.timeline_figure(list(_tenures(story, split.replay_end)))
    yield Figure("Model versions", "Which version answered when.", bands)


def _explained(workspace: Workspace, outputs: Outputs, findings: Findings) -> Iterator[Figure]:
    """Yield the evidence for the surest root cause that was right."""
    right = {line.opened for line in findings.lines if line.root_rank == 1}
    reports = [
        incident.report
        for incident in outputs.opened
        if incident.incident_id in right and incident.report is not None and incident.report.decided
    ]
    surest = max(reports, key=lambda report: (len(report.causes[0].path), report.causes[0].probability), default=None)
    if surest is not None:
        picture = RootCauseAnalyst.of(workspace.settings, workspace.tenant).figure(None, surest)
        yield Figure("An explained root cause", surest.statement, picture, "image/svg+xml")


def _incident(workspace: Workspace, outputs: Outputs, incident_id: str) -> bytes:
    label = next(row for row in outputs.incidents.to_pylist() if row["incident_id"] == incident_id)
    begin, end = label["onset_at"] - timedelta(hours=2), label["ends_at"] + timedelta(hours=1)
    telemetry = with_metric_texts(workspace.lake.read("telemetry", begin, end)).to_pandas()
    own = telemetry[telemetry["service"] == label["service"]]
    metrics = sorted(own["metric"].unique(), key=lambda name: (_stillness(own, name, label["onset_at"]), name))
    view = loop_figures.IncidentView(label, telemetry, outputs.detections, outputs.predictions)
    return loop_figures.incident_figure(view, metrics[:SHOWN_METRICS])


def _stillness(own: pd.DataFrame, metric: str, onset: datetime) -> float:
    """Return how little a metric moved from its onset on, in its spread before (for sorting: the clearest first)."""
    rows = own[own["metric"] == metric]
    before, after = rows.loc[rows["timestamp"] < onset, "value"], rows.loc[rows["timestamp"] >= onset, "value"]
    return -abs(float(after.mean() - before.mean())) / (float(before.std()) + 1e-9) if len(before) > 1 and len(after) else 0.0


def _training_figures(workspace: Workspace, name: str) -> Iterator[Figure]:
    if not current_version(workspace, name):
        return
    for file, data in workspace.registry.figures(name).items():
        title = f"{name}: {file.rpartition('.')[0].replace('_', ' ')}"
        kind = "image/svg+xml" if file.endswith(".svg") else "image/png"
        yield Figure(title, "On rows that the model was not fitted to: those of the gate, once it has judged.", data, kind)


def _tenures(story: Story, end: datetime) -> Iterator[loop_figures.Tenure]:
    for model in trained_models():
        changes = [(since, versions[model]) for since, versions in story.tenures]
        for number, (since, version) in enumerate(changes):
            until = changes[number + 1][0] if number + 1 < len(changes) else end
            if version:
                yield loop_figures.Tenure(model, version, since, until)


def _linked(folder: Path, page: str) -> str:
    return str(Path("..") / Path(page).relative_to(folder.parent))
