"""Exported models, for processes that do not import MLflow: `<root>/<name>/<version>/` and `<root>/<name>/aliases.json`."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import uuid4

from aiops.errors import ModelNotFound
from models.artifacts.artifact import Artifact, load_artifact

ALIASES: Final = "aliases.json"


def export_artifact(artifact: Path, root: Path, name: str, version: str) -> Path:
    """Copy an artifact folder to `<root>/<name>/<version>` so that it is there whole or not at all; return the folder.

    A version is immutable: one that is already there, and sound, is kept.

    Raises:
        ArtifactError: the artifact is damaged.
    """
    load_artifact(artifact)
    target = root / name / version
    if target.is_dir() and (target / "manifest.json").read_bytes() == (artifact / "manifest.json").read_bytes():
        return target
    partial = root / name / f".{version}.{uuid4().hex}.part"
    shutil.copytree(artifact, partial)
    if target.exists():
        stale = target.with_name(f".{version}.{uuid4().hex}.old")
        target.rename(stale)
        shutil.rmtree(stale)
    partial.rename(target)
    return target


def write_aliases(root: Path, name: str, aliases: Mapping[str, str]) -> Path:
    """Replace `<root>/<name>/aliases.json` (alias -> version) by rename; write the versions it names first."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{ALIASES}.{uuid4().hex}.part"
    partial.write_text(json.dumps(dict(sorted(aliases.items()))), encoding="utf-8")
    with partial.open("rb") as handle:
        os.fsync(handle.fileno())
    return partial.replace(folder / ALIASES)


def exported_version(root: Path, name: str, alias: str) -> str | None:
    """Return the exported version an alias names; None where nothing was exported or the alias is not set."""
    path = root / name / ALIASES
    version = json.loads(path.read_text(encoding="utf-8")).get(alias) if path.exists() else None
    return None if version is None else str(version)


def load_exported(root: Path, name: str, alias: str) -> tuple[str, Artifact]:
    """Return version and artifact that an alias names among the exported models.

    Raises:
        ModelNotFound: nothing was exported, or the alias is not set.
        ArtifactError: the artifact is damaged.
    """
    version = exported_version(root, name, alias)
    if version is None:
        raise ModelNotFound(f"no exported model {name!r} with alias {alias!r} below {root}; export it from the registry first")
    return version, load_artifact(root / name / version)
