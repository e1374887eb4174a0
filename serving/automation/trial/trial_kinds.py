"""The kinds of actions as they behave in memory: with the risk of the real ones, and taken back only where those can be."""

from collections.abc import Mapping
from typing import Final

from aiops.automation.action import PlainMapping
from aiops.automation.trial.memory_targets import MemoryKind
from serving.automation.actions.catalog import KINDS

_NEVER_UNDONE: Final = frozenset(
    {"dagster.job", "human.ask", "notify", "postgres.kill_session", "process.restart", "systemd.restart"}
)


def trial_kinds() -> Mapping[str, MemoryKind]:
    """Return every kind of action that there is, by its name."""
    return {kind.kind: _memory_kind(kind.kind, MemoryKind(kind.kind, kind.risk)) for kind in KINDS}


def _memory_kind(name: str, kind: MemoryKind) -> MemoryKind:
    if name in _NEVER_UNDONE:
        return MemoryKind(name, kind.risk, lambda _: False)
    return MemoryKind(name, kind.risk, _has_a_way_back) if name == "http.call" else kind


def _has_a_way_back(parameters: PlainMapping) -> bool:
    return parameters.get("back") is not None
