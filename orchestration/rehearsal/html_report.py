"""The self-contained HTML report of a run: figures inline, no script, no address to load from."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from orchestration.rehearsal.acted_run import ActedRun
from orchestration.rehearsal.run_result import IncidentLine, ResponderFigures, RunResult

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1150px;margin:2rem auto;padding:0 1rem;color:#24292f}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid #d0d7de}
table{border-collapse:collapse;margin:.6rem 0}
td,th{padding:.25rem .8rem;border-bottom:1px solid #d8dee4;text-align:left;vertical-align:top}
th{background:#f6f8fa}img{max-width:100%}.lead{font-size:1.05rem}code{background:#f6f8fa;padding:0 .25rem}
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One plot with its title and what to see in it."""

    title: str
    caption: str
    image: bytes
    media_type: str = "image/png"


def write_report(path: Path, result: RunResult, figures: Sequence[Figure], links: Sequence[tuple[str, str]]) -> None:
    """Write the report; `links` are (title, relative path) of further pages kept beside it."""
    title = escape(f"aiops run on {result.source}")
    parts = [f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"]
    parts.append(f"<h1>{title}</h1><p class=lead>{escape(headline(result))}</p>")
    parts.append(_table(("figure", "value"), summary_rows(result)))
    if result.incident_lines:
        parts.append("<h2>Labelled incidents of the replay</h2>" + _table(INCIDENT_COLUMNS, incident_rows(result)))
    if gray := gray_lines(result):
        parts.append("<h2>Seen by log lines and spans alone</h2>" + _list(gray))
    if result.acted:
        parts.append("<h2>Acted on: simulated services, a simulated operator</h2>" + "".join(map(_acted, result.acted)))
    for figure in figures:
        source = base64.b64encode(figure.image).decode()
        parts.append(f"<h2>{escape(figure.title)}</h2><p>{escape(figure.caption)}</p>")
        parts.append(f'<img alt="{escape(figure.title)}" src="data:{figure.media_type};base64,{source}">')
    if result.gate:
        parts.append("<h2>What the gate decided</h2>" + _list(result.gate))
    parts.append("<h2>Drift checks</h2>" + _list(result.drift.reasons))
    if links:
        parts.append("<ul>" + "".join(f'<li><a href="{escape(to)}">{escape(title)}</a></li>' for title, to in links) + "</ul>")
    path.write_text("\n".join(parts), encoding="utf-8")


def headline(result: RunResult) -> str:
    """Return the run in one sentence."""
    return (
        f"{result.points_in:,} points were replayed: {result.points_scored:,} scored, {result.points_warmup:,} in warm-up, "
        f"{result.rows_rejected:,} rejected; {result.incidents_detected} of {result.incidents_labelled} labelled incidents were "
        f"detected, {result.incidents_foreseen} foreseen; {result.drift.retrained} retraining(s), {result.swaps} model swap(s), "
        f"{result.requests.failed} of {result.requests.sent:,} requests failed."
    )


def highlights(result: RunResult) -> list[str]:
    """Return what the run showed, one sentence a promise, only what really happened."""
    foreseen = max(
        (line for line in result.incident_lines if line.foreseen_min), key=lambda line: line.foreseen_min or 0, default=None
    )
    sudden = next((line for line in result.incident_lines if line.foreseen_min is None and line.detected_min is not None), None)
    lines = []
    if foreseen is not None:
        lines.append(f"foreseen: {foreseen.kind} in {foreseen.service}, {foreseen.foreseen_min:.0f} min before users felt it")
    if sudden is not None:
        lines.append(f"detected: {sudden.kind} in {sudden.service}, {sudden.detected_min:.1f} min after it struck")
    lines += gray_lines(result)
    if result.responder.paged:
        fewer = 1 - result.responder.paged / result.responder.alerts
        lines.append(f"correlated: {result.responder.alerts:,} alerts became {result.responder.paged} pages ({fewer:.1%} fewer)")
    if result.responder.judged:
        first = f"{result.responder.root_first} of {result.responder.judged}"
        lines.append(f"explained: the true service was named first for {first} labelled incidents (`aiops incidents list`)")
    if result.rows_rejected:
        lines.append(f"rejected: {result.rows_rejected} bad rows, each with its reason (`aiops rejected list`)")
    if result.drift.checked:
        answer = f"{result.drift.drifted} found drift, {result.drift.retrained} led to a retraining"
        lines.append(f"drift: {result.drift.checked} checks, {answer}")
    if result.swaps:
        text = f"{result.requests.failed} of {result.requests.sent:,} requests failed"
        lines.append(f"swapped: {result.swaps} newly promoted model(s) while requests went on; {text}")
    lines += acted_lines(result)
    return lines


def acted_lines(result: RunResult) -> list[str]:
    """Return a sentence each on the plans of the run and what became of them."""
    return [f"{run.state}: {run.sentence}" for run in result.acted]


def gray_lines(result: RunResult) -> list[str]:
    """Return a sentence each on the incidents that no metric shows and that were seen."""
    return [_gray_line(line) for line in result.incident_lines if line.is_gray and line.detected_min is not None]


def _gray_line(line: IncidentLine) -> str:
    """Return how an incident that no metric shows was seen, and what was said of its root."""
    seen = f"seen after {line.detected_min:.1f} min by {line.seen_by or 'its neighbours'}"
    return f"in no metric: {line.kind} in {line.service}, {seen}" + (f"; {line.statement}" if line.statement else "")


def summary_rows(result: RunResult) -> list[tuple[str, str]]:
    """Return the figures of a run as (name, value) texts, baselines beside them."""
    predictor = result.predictor
    baselines = f"(base rate {_num(predictor.base_rate)}, naive rule {_num(predictor.naive_pr_auc)})"
    reasons = ", ".join(f"{name} {count}" for name, count in sorted(result.rejected_by_reason.items()))
    rows = [
        ("points in = scored + warm-up + rejected", _sum_text(result)),
        ("rejected by reason", reasons or "none"),
        ("anomalous detections", f"{result.detections:,}"),
        ("incidents opened / paged (of which without a label)", _incidents_text(result)),
        ("alerts in them", f"{result.responder.alerts:,}"),
        ("root named first / among three (the first alert's service)", _roots_text(result.responder)),
        ("predictor PR-AUC, 60 min", f"{_num(predictor.pr_auc)} {baselines}"),
        ("mean lead of foreseen incidents", f"{_num(predictor.lead_min)} min"),
        ("false pages a day per service", _num(predictor.false_pages_per_service_day)),
        ("drift checks / drifted / retrained", f"{result.drift.checked} / {result.drift.drifted} / {result.drift.retrained}"),
        ("swaps; requests sent / failed", f"{result.swaps}; {result.requests.sent:,} / {result.requests.failed}"),
        ("stream against backfill, greatest difference", f"{result.parity_max_abs_diff:.3g}"),
        ("publication to committed score", f"p50 {_num(result.latency_ms.p50)} ms, p99 {_num(result.latency_ms.p99)} ms"),
        ("models", ", ".join(f"{m.name} v{m.version}{f' ({m.alias})' if m.alias else ''}" for m in result.models)),
        ("seconds", f"{result.seconds:.0f}: " + ", ".join(f"{name} {value:.0f}" for name, value in result.stages_s.items())),
    ]
    return [*rows, ("predictor", predictor.reason)] if predictor.reason else rows


INCIDENT_COLUMNS = (
    "incident",
    "service",
    "kind",
    "starts at",
    "foreseen, min before",
    "detected, min after the start",
    "root ranked",
)


def incident_rows(result: RunResult) -> list[tuple[str, ...]]:
    """Return one row of texts a labelled incident."""
    return [
        (
            line.incident_id,
            line.service,
            line.kind,
            f"{line.starts_at:%Y-%m-%d %H:%M}",
            _num(line.foreseen_min),
            _num(line.detected_min),
            "–" if line.root_rank is None else str(line.root_rank),
        )
        for line in result.incident_lines
    ]


def _incidents_text(result: RunResult) -> str:
    return f"{result.incidents} ({result.false_incidents}) / {result.responder.paged} ({result.responder.false_pages})"


def _roots_text(figures: ResponderFigures) -> str:
    if not figures.judged:
        return "no labelled incident was analysed"
    return f"{figures.root_first} / {figures.root_among_three} of {figures.judged} ({figures.alerted_first})"


def _sum_text(result: RunResult) -> str:
    return f"{result.points_in:,} = {result.points_scored:,} + {result.points_warmup:,} + {result.rows_rejected:,}"


def _num(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.3g}"


def _acted(run: ActedRun) -> str:
    """Return one run: what was planned, and each line of the run log."""
    rows = [(f"{line.at:%Y-%m-%d %H:%M}", str(line.state), line.what, line.by) for line in run.lines]
    what = escape(f"{run.title}: {run.service}, incident {run.incident_id}")
    intro = f"{what}, <code>aiops runs show {escape(run.run_id)}</code>"
    return f"<h3>{run.state}</h3><p>{intro}</p>{_list(run.steps)}{_table(('at', 'state', 'what', 'by'), rows)}"


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return "<table><tr>" + "".join(f"<th>{escape(name)}</th>" for name in head) + f"</tr>{body}</table>"
