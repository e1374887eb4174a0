"""Which version answers: promotion, rollback, the list of models; every change is audited by the registry."""

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiops.errors import GateRefused
from aiops.types import ModelVersion
from models.artifacts.audit import CHALLENGER, CHAMPION, Change
from models.artifacts.catalog import trained_models
from orchestration.workspace.workspace import Workspace

GATE_TAG = "gate.promoted"


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One version as `aiops models` shows it."""

    name: str
    version: str
    alias: str
    created_at: datetime
    gate: str
    reason: str
    metrics: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Moved:
    """An alias that moved."""

    name: str
    alias: str
    version: str
    before: str


def change(at: datetime, why: str) -> Change:
    """Return a change by the user who runs this process."""
    return Change(getpass.getuser(), at, why)


def list_models(workspace: Workspace, names: Sequence[str] | None = None) -> list[ModelEntry]:
    """Return all versions of the models, newest first, with what the gate said of each."""
    registry = workspace.registry
    return [_entry(version) for name in (trained_models() if names is None else names) for version in registry.versions(name)]


def _entry(version: ModelVersion) -> ModelEntry:
    tags = version.tags
    gate = {"true": "passed", "false": "refused"}.get(tags.get(GATE_TAG, ""), "not judged")
    figures = {key: value for key, value in tags.items() if not key.startswith("gate.")}
    return ModelEntry(
        version.name, version.version, ", ".join(version.aliases), version.created_at, gate, tags.get("gate.reason", ""), figures
    )


def promote(workspace: Workspace, name: str, version: str | None, wish: Change, force: bool = False) -> Moved:
    """Make a version (the challenger where None) the champion; services swap within seconds.

    Raises:
        GateRefused: the gate refused that version, or never judged it, and `force` is not set.
        ModelNotFound: no such model or version.
    """
    registry = workspace.registry
    chosen = registry.get(name, version or CHALLENGER)
    passed = chosen.tags.get(GATE_TAG) == "true"
    if not passed and not force:
        said = chosen.tags.get("gate.reason", "the gate never judged it")
        raise GateRefused(f"{name} version {chosen.version}: {said}. Train again (`aiops train`), or promote with --force")
    before = current_version(workspace, name)
    why = wish.why if passed else f"forced: {wish.why}"
    registry.set_alias(name, CHAMPION, chosen.version, Change(wish.who, wish.at, why))
    return Moved(name, CHAMPION, chosen.version, before)


def rollback(workspace: Workspace, name: str, wish: Change) -> Moved:
    """Return to the champion before; services swap within seconds.

    Raises:
        ModelNotFound: there is none before it.
    """
    before = current_version(workspace, name)
    return Moved(name, CHAMPION, workspace.registry.rollback(name, wish).version, before)


def current_version(workspace: Workspace, name: str) -> str:
    """Return the champion's version, "" where there is none."""
    return next((v.version for v in workspace.registry.versions(name) if CHAMPION in v.aliases), "")
