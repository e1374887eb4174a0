"""Change events in the lake: what was deployed, configured or scaled, written by sources, files and callers, read by the RCA.

A reader gives the moment up to which it may look: changes of a simulation or a recording lie in the lake before their time
has come, and evidence may not come from the future. Whether a change did harm is never stored here.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from aiops.incidents.root_cause import ChangeEvent
from data_contracts.schemas.telemetry_schemas import CHANGES
from serving.lake.port import Lake


def read_changes(
    lake: Lake, services: Collection[str] | None, since: datetime | None, until: datetime | None
) -> tuple[ChangeEvent, ...]:
    """Return the changes of `services` (of all where None) with since <= at <= until, in order of time, each once.

    Raises:
        ConfigurationError: a time has no zone.
        StateError: a file of the lake is damaged.
    """
    rows = lake.read("changes", since, None if until is None else until + timedelta(microseconds=1))
    chosen = None if services is None else frozenset(services)
    return tuple(event for event in changes_of_table(rows) if chosen is None or event.service in chosen)


def changes_are_recorded(lake: Lake, at: datetime) -> bool:
    """Return whether anybody had reported a change by `at`: only then does it say something that a service had none.

    Raises:
        StateError: a file of the lake is damaged.
    """
    first = min(lake.days("changes"), default=None)
    if first is None or first != at.astimezone(UTC).date():
        return first is not None and first < at.astimezone(UTC).date()
    return bool(read_changes(lake, None, None, at))


def write_changes(lake: Lake, events: Sequence[ChangeEvent]) -> int:
    """Write changes; return how many were given. One that is there already, alone or among others, counts once.

    Raises:
        ContractError: a cell of an event does not fit the schema.
    """
    if not events:
        return 0
    lake.add("changes", table_of_changes(events))
    return len(events)


def table_of_changes(events: Sequence[ChangeEvent]) -> pa.Table:
    """Return `schemas.CHANGES` in the order of the events."""
    columns: dict[str, Any] = {
        "change_id": [event.change_id for event in events],
        "at": [event.at.astimezone(UTC) for event in events],
        "service": [event.service for event in events],
        "kind": [event.kind for event in events],
        "what": [event.what for event in events],
        "source": [event.source for event in events],
    }
    return pa.table(columns, schema=CHANGES)


def changes_of_table(rows: pa.Table) -> tuple[ChangeEvent, ...]:
    """Return the events of a table of `schemas.CHANGES` by time and id; one that is there twice (same id and time) once."""
    events = (ChangeEvent(**row) for row in rows.select(CHANGES.names).to_pylist())
    ordered = sorted(events, key=lambda event: (event.at, event.change_id, event.service, event.kind, event.what, event.source))
    return tuple({(event.change_id, event.at): event for event in ordered}.values())
