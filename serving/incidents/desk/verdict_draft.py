"""What a person says of an incident, checked against what is known before it becomes a verdict."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from difflib import get_close_matches

from aiops.errors import ContractError
from aiops.incidents.verdict import Verdict, VerdictKind
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import IncidentCase


@dataclass(frozen=True, slots=True)
class VerdictDraft:
    """As given: ids may be unique beginnings of ids; `right_cause` goes with wrong_cause, `duplicate_of` with duplicate."""

    incident_id: str
    kind: VerdictKind
    right_cause: str = ""
    duplicate_of: str = ""
    note: str = ""
    unrelated: tuple[str, ...] = ()


def verdict_of(store: IncidentStore, draft: VerdictDraft, at: datetime, by: str, services: Iterable[str]) -> Verdict:
    """Return the verdict, with full ids; the same words at the same time give the same id. `services`: those of the graph.

    Given after all others on its incident: by a microsecond, where time stands still or has gone back.

    Raises:
        ContractError: an incident or a service is not known, or the parts do not go together.
    """
    case = store.case(draft.incident_id)
    incident_id = case.incident.incident_id
    _check_parts(draft, incident_id)
    if draft.right_cause:
        known = {*services, *case.incident.services, *_causes(case)}
        _check_service("right_cause", draft.right_cause, known)
    for service in draft.unrelated:
        _check_unrelated(service, draft, case)
    other = store.case(draft.duplicate_of).incident.incident_id if draft.duplicate_of else ""
    if other == incident_id:
        raise ContractError(f"duplicate_of={other!r} is the incident itself; name the one that it repeats")
    details = (draft.right_cause, other, draft.note, tuple(sorted({*draft.unrelated})))
    return _at(Verdict("", incident_id, draft.kind, at, by, *details), max(case.verdicts, key=_age, default=None))


def _at(given: Verdict, before: Verdict | None) -> Verdict:
    """Return a verdict with its id, given after the one `before`: the desk's time may stand still, and a correction counts."""
    if before is not None and before.given_at >= given.given_at:
        again = replace(given, verdict_id=before.verdict_id, given_at=before.given_at, note=before.note)
        at = before.given_at + timedelta(microseconds=0 if again == before else 1)
        given = replace(given, given_at=at)
    parts = (given.right_cause, given.duplicate_of, ",".join(given.unrelated), given.by, given.given_at.isoformat())
    said = chr(31).join((given.incident_id, str(given.kind), *parts))
    return replace(given, verdict_id=f"ver-{hashlib.blake2b(said.encode(), digest_size=8).hexdigest()}")


def _age(verdict: Verdict) -> tuple[datetime, str]:
    return verdict.given_at, verdict.verdict_id


def _check_parts(draft: VerdictDraft, incident_id: str) -> None:
    for name, kind in (("right_cause", VerdictKind.WRONG_CAUSE), ("duplicate_of", VerdictKind.DUPLICATE)):
        given = getattr(draft, name)
        if bool(given) != (draft.kind is kind):
            rule = f"needs {name}: give it" if not given else f"has no {name}: leave it out, or say {kind}"
            raise ContractError(f"verdict on {incident_id}: kind={draft.kind} {rule}")
    if draft.unrelated and draft.kind not in (VerdictKind.TRUE, VerdictKind.WRONG_CAUSE):
        raise ContractError(f"verdict on {incident_id}: kind={draft.kind} has no unrelated services: leave them out")


def _check_service(field: str, service: str, known: Iterable[str]) -> None:
    names = sorted({*known})
    if service not in names:
        close = get_close_matches(service, names, 3) or names[:3]
        raise ContractError(f"{field}={service!r} is no known service; meant is perhaps one of {', '.join(close)}")


def _check_unrelated(service: str, draft: VerdictDraft, case: IncidentCase) -> None:
    _check_service("unrelated", service, case.incident.services)
    if service in (case.incident.anchor, draft.right_cause):
        raise ContractError(f"unrelated={service!r}: the incident began there; leave it out, or judge the incident otherwise")


def _causes(case: IncidentCase) -> list[str]:
    return [] if case.report is None else [cause.service for cause in case.report.causes]
