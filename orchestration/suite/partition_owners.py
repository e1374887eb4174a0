"""Which consumer has which partition, where consumers share them by leases."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aiops.settings.tree import Settings
from serving.stream import streams
from serving.stream.ownership.lease_groups import INGEST, SCORE, lease_group
from serving.stream.ownership.leases import LeaseView, look

_STAGES: Final = {INGEST: "stage 1", SCORE: "stage 2"}
_PATIENCE_S: Final = 10.0
"""How long a partition may be without an owner, beyond a lease: what takes over loads a checkpoint first."""


@dataclass(frozen=True, slots=True)
class OwnerLine:
    """Who has a partition in a stage ("" = nobody), since when (aware UTC), and where its newest checkpoint lies, if known."""

    partition: int
    stage: str
    owner: str
    since: datetime
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Owners:
    """All partitions that are shared, and sentences about those that nobody has."""

    lines: tuple[OwnerLine, ...]
    faults: tuple[str, ...]


def partition_owners(broker: streams.Streams, settings: Settings) -> Owners:
    """Return who has what; nothing of a stage that no running process shares.

    Raises:
        Unavailable: the broker does not answer.
    """
    views = {name: look(broker, lease_group(settings, name)) for name in _STAGES}
    shared = {name: view for name, view in views.items() if view.members}
    lines = [line for name, view in shared.items() for line in _lines(_STAGES[name], view)]
    faults = [fault for name, view in shared.items() for fault in _faults(_STAGES[name], view, settings.consumer.lease_s)]
    return Owners(tuple(sorted(lines, key=lambda line: (line.partition, line.stage))), tuple(faults))


def _lines(stage: str, view: LeaseView) -> Iterator[OwnerLine]:
    names = {member.member_id: f"{member.place.host}, process {member.pid}" for member in view.members}
    for number, lease in view.leases.items():
        note = view.notes.get(number)
        since = datetime.fromtimestamp(lease.since_ms / 1000, UTC)
        yield OwnerLine(number, stage, names.get(lease.owner, ""), since, str(note.place) if note else "")


def _faults(stage: str, view: LeaseView, lease_s: float) -> Iterator[str]:
    for number, lease in view.leases.items():
        alone_s = (view.now_ms - lease.since_ms) / 1000
        if lease.owner or alone_s < lease_s + _PATIENCE_S:
            continue
        note = view.notes.get(number)
        reached = note is None or any(member.place.reaches(note.place) for member in view.members)
        why = "" if note is None or reached else f": no running consumer reaches its checkpoint in {note.place}"
        yield f"partition {number} has had no owner in {stage} for {alone_s:.0f} s{why}"
