"""What a command about plans and runs works with: the run log over the incident store, with or without a running suite."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from orchestration.commands.incident_access import IncidentWork
from serving.automation.approvals.ledger_factory import ledger_of
from serving.automation.ledger.store_ledger import StoreRunLedger
from serving.tables.graph_store import GraphStore


@dataclass(frozen=True)
class AutomationWork:
    """An open run log of the tenant of the settings."""

    incidents: IncidentWork
    ledger: StoreRunLedger

    @classmethod
    @contextmanager
    def opened(cls) -> "Iterator[AutomationWork]":
        """Open what the settings name, and close it again.

        Raises:
            Unavailable: the database does not answer.
        """
        with IncidentWork.opened() as work:
            graphs = GraphStore(work.lake)
            yield cls(work, ledger_of(work.settings, work.store, graphs.graph))

    @property
    def names_are_bound(self) -> bool:
        """Return whether approvals over the API are bound to persons, by tokens."""
        return self.incidents.settings.serving.jwt_key is not None

    def now(self) -> datetime:
        """Return the time by which people act."""
        return self.incidents.now()
