"""What the incident store knows of incidents, in the form that learning takes."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final, TypeVar

from aiops.errors import ContractError
from aiops.incidents.alert import Alert
from aiops.incidents.feedback.facts import Finding, IncidentFacts, Judged
from aiops.incidents.incident import Incident, IncidentState
from aiops.incidents.root_cause import RootCauseReport
from aiops.incidents.verdict import Verdict
from serving.incidents.desk.detection_alerts import DETECTED
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import MOST_ITEMS, IncidentFilter, Page, PageRequest

Item = TypeVar("Item")
NAN: Final = float("nan")


def facts_of(store: IncidentStore, incident: Incident, seen_at: datetime | None = None) -> IncidentFacts:
    """Return what learning needs of an incident, with the analysis that a person saw at `seen_at` (None = the newest)."""
    report = _report_at(store.reports(incident.incident_id), seen_at)
    findings: dict[str, Finding] = {}
    others: set[str] = set()
    for stored in every(lambda request: store.alerts(incident.incident_id, request)):
        if stored.alert.source != DETECTED:
            others.add(stored.alert.fingerprint)
        elif stored.alert.ends_at is None:
            finding = finding_of(stored.alert)
            findings[finding.detection_id] = finding
    return IncidentFacts(
        incident_id=incident.incident_id,
        opened_at=min((entry.first_seen for entry in incident.alerts), default=incident.opened_at),
        ended_at=max((entry.last_seen for entry in incident.alerts), default=incident.updated_at),
        anchor=incident.anchor,
        services=incident.services,
        findings=tuple(findings[name] for name in sorted(findings)),
        others=len(others),
        paged=incident.notified_at is not None,
        causes=report.causes if report else (),
        decided=report.decided if report else False,
    )


def judged_of(store: IncidentStore, verdicts: Iterable[Verdict]) -> list[Judged]:
    """Return verdicts with their incidents; those whose incident the store has forgotten are left out."""
    judged = []
    for verdict in verdicts:
        incident = _known(store, verdict.incident_id)
        if incident is not None:
            other = _known(store, verdict.duplicate_of) if verdict.duplicate_of else None
            facts = facts_of(store, incident, verdict.given_at)
            judged.append(Judged(verdict, facts, other.anchor if other else ""))
    return judged


def facts_between(store: IncidentStore, since: datetime, until: datetime) -> tuple[IncidentFacts, ...]:
    """Return the incidents that opened in [since, until); those merged into others are part of them."""
    incident_filter = IncidentFilter(since=since, until=until)
    opened = every(lambda request: store.incidents(incident_filter, request))
    return tuple(facts_of(store, incident) for incident in opened if incident.state is not IncidentState.MERGED)


def every(ask: Callable[[PageRequest], Page[Item]]) -> Iterator[Item]:
    """Yield the items of all pages."""
    cursor = ""
    while True:
        page = ask(PageRequest(MOST_ITEMS, cursor))
        yield from page.items
        cursor = page.next_cursor
        if not cursor:
            return


def finding_of(alert: Alert) -> Finding:
    """Return the detection that an alert came from: its id is the part before the revision."""
    return Finding(alert.alert_id.partition(":")[0], alert.service, alert.label("metric"), alert.score)


def _report_at(reports: tuple[RootCauseReport, ...], seen_at: datetime | None) -> RootCauseReport | None:
    seen = [report for report in reports if seen_at is None or report.made_at <= seen_at]
    return seen[-1] if seen else None


def _known(store: IncidentStore, incident_id: str) -> Incident | None:
    try:
        return store.case(incident_id).incident
    except ContractError:
        return None
