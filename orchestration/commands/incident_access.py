"""What a command about incidents works with: the store, the desk over it and the lake, with or without a running responder."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from aiops.settings.tree import Settings
from orchestration.workspace.current_settings import settings_in_force
from serving.incidents.desk.desk import Desk
from serving.incidents.desk.desk_factory import Terms, desk_of, terms_in_force
from serving.incidents.store.incident_store import IncidentStore
from serving.lake.opening import open_lake
from serving.lake.port import Lake
from serving.tables.graph_store import GraphStore


@dataclass(frozen=True)
class IncidentWork:
    """An open store of the tenant of the settings, with what belongs to it."""

    settings: Settings
    store: IncidentStore
    lake: Lake

    @classmethod
    @contextmanager
    def opened(cls) -> "Iterator[IncidentWork]":
        """Open what the settings name, and close it again.

        Raises:
            Unavailable: the database does not answer.
        """
        settings = settings_in_force()
        with IncidentStore.open(settings.incident_store_url, settings.tenant) as store:
            yield cls(settings, store, open_lake(settings).for_tenant(settings.tenant))

    @cached_property
    def desk(self) -> Desk:
        """Return a desk of this process; each of its transactions goes on from what any other has stored."""
        return desk_of(self.settings, self.store, self.terms)

    @cached_property
    def terms(self) -> Terms:
        """Return what the responder goes by, whatever the settings of this shell."""
        return terms_in_force(self.settings, self.store)

    def now(self) -> datetime:
        """Return the desk's time: the wall's, or that of the telemetry where the responder goes by events."""
        by_events = self.store.clock() if self.terms.clock == "event" else None
        return by_events or datetime.now(UTC)

    def services(self) -> tuple[str, ...]:
        """Return the services of the present call graph."""
        return GraphStore(self.lake).graph().services


def somebody(by: str | None) -> str:
    """Return who acts: the name given, else the system's user."""
    try:
        return by or getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return f"uid {os.getuid()}"
