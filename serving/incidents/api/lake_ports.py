"""Ports of the API over the lake: changes, and what verdicts teach."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiops.incidents.feedback.verdict_effects import VerdictEffect, VerdictPreview
from aiops.incidents.root_cause import ChangeEvent
from aiops.incidents.verdict import Verdict
from aiops.topology.graph import ServiceGraph
from serving.incidents.desk import feedback
from serving.incidents.desk.desk import Desk
from serving.incidents.desk.verdict_draft import VerdictDraft, verdict_of
from serving.incidents.store.incident_store import IncidentStore
from serving.lake.port import Lake
from serving.tables.changes import read_changes, write_changes


@dataclass(frozen=True, slots=True)
class LakeChanges:
    """The changes of a lake."""

    lake: Lake

    def read(self, services: Collection[str] | None, since: datetime, until: datetime) -> tuple[ChangeEvent, ...]:
        """Return those of [since, until] in order of time; `services` None = of all."""
        return read_changes(self.lake, services, since, until)

    def write(self, events: Sequence[ChangeEvent]) -> int:
        """Write changes; the same ones again double nothing."""
        return write_changes(self.lake, events)


@dataclass(frozen=True, slots=True)
class LakeTeaching:
    """Verdicts of a store with their labels in a lake; `graph` = the present call graph."""

    store: IncidentStore
    desk: Desk
    lake: Lake
    graph: Callable[[], ServiceGraph]

    def verdict(self, draft: VerdictDraft, at: datetime, by: str) -> Verdict:
        """Return what was said as a verdict; ContractError where it cannot be one."""
        return verdict_of(self.store, draft, at, by, self.graph().services)

    def preview(self, verdict: Verdict, now: datetime) -> VerdictPreview:
        """Return what it would change."""
        return feedback.preview(self.store, self.lake, verdict, now)

    def apply(self, verdict: Verdict) -> VerdictEffect:
        """Let it take effect and return what changed."""
        return feedback.apply(self.store, self.desk, self.lake, verdict)
