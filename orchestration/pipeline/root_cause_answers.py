"""`aiops rca …`: the stored analysis of an incident, or one made anew from the lake, as text, JSON or a figure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from aiops.errors import ConfigurationError
from aiops.incidents.incident import IncidentState
from aiops.incidents.root_cause import RootCause, RootCauseReport
from aiops.incidents.root_cause_question import RootCauseQuestion
from aiops.settings.tree import Settings
from serving.incidents.desk.analyses import known_beside
from serving.incidents.store.incident_store import IncidentStore
from serving.root_cause.lake_explainer import RootCauseAnalyst

MOST_EVIDENCE: Final = 4
LISTED_FROM: Final = 0.02
"""Probability from which a cause behind the first is listed with its evidence."""
_OVER: Final = frozenset({IncidentState.RESOLVED, IncidentState.MERGED})


@dataclass(frozen=True, slots=True)
class Explained:
    """An analysis, of which incident ("" = none: it was asked about a service), and whether it was made just now."""

    incident_id: str
    made_now: bool
    report: RootCauseReport


def explained(settings: Settings, incident_id: str, again: bool, now: datetime) -> Explained:
    """Return the newest stored analysis of an incident, or one made anew: if asked for, or where none is stored.

    An incident that is over is explained as of its end, any other as of `now`.

    Raises:
        ContractError: no incident, or several, are named so.
        StateError: the store or the lake is damaged.
    """
    with IncidentStore.open(settings.incident_store_url, settings.tenant) as store:
        case = store.case(incident_id)
        incident = case.incident
        if case.report is not None and not again:
            return Explained(incident.incident_id, False, case.report)
        at = incident.updated_at if incident.state in _OVER else now
        priors, masked = known_beside(store, incident)
    report = RootCauseAnalyst.of(settings, settings.tenant).explain(incident, at, priors, masked)
    return Explained(incident.incident_id, True, report)


def asked(settings: Settings, service: str, at: datetime, minutes: float) -> Explained:
    """Return why a service was in trouble as of `at`, without an incident.

    Raises:
        StateError: the lake is damaged.
    """
    question = RootCauseQuestion({service: at - timedelta(minutes=minutes)}, at)
    return Explained("", True, RootCauseAnalyst.of(settings, settings.tenant).answer(question))


def draw(settings: Settings, report: RootCauseReport, file: Path) -> None:
    """Write the evidence of a report as SVG.

    Raises:
        ConfigurationError: the file is not called .svg, or its folder is not there.
        StateError: the lake is damaged.
    """
    if file.suffix != ".svg":
        raise ConfigurationError(f"--plot {file}: the drawing is SVG; give a name that ends in .svg")
    if not file.absolute().parent.is_dir():
        raise ConfigurationError(f"--plot {file}: the folder {file.parent} does not exist; make it first")
    file.write_bytes(RootCauseAnalyst.of(settings, settings.tenant).figure(None, report))


def lines_of(report: RootCauseReport) -> Iterator[str]:
    """Yield what a report says of its causes, in words, one line each; the table of causes is not repeated."""
    for cause in report.causes:
        if cause is report.causes[0] or cause.probability >= LISTED_FROM:
            yield from _cause_lines(cause)
    if report.would_decide:
        yield "What would make it surer:" if report.decided else "What would decide it:"
        yield from (f"  - {question}" for question in report.would_decide)


def _cause_lines(cause: RootCause) -> Iterator[str]:
    yield cause.sentence
    for evidence in cause.evidence[:MOST_EVIDENCE]:
        yield f"  {evidence.kind}: {evidence.text} ({evidence.excess:.1f} spreads beyond, since {evidence.since:%H:%M:%S})"
    if len(cause.path) > 1:
        yield f"  path: {' → '.join(cause.path)}"
    for change in cause.changes:
        what = f": {change.what}" if change.what else ""
        yield f"  changed: {change.kind} at {change.at:%Y-%m-%d %H:%M:%S}Z{what}"


def rows_of(report: RootCauseReport) -> list[tuple[str, str, str]]:
    """Return (service, probability, since) of the causes; the last row is that of none of them."""
    rows = [
        (candidate.service, f"{candidate.probability:.1%}", f"{candidate.onset:%H:%M:%S}" if candidate.onset else "–")
        for candidate in report.causes
    ]
    return [*rows, ("none of them", f"{report.none_probability:.1%}", "–")] if rows else []
