"""Where tier 1 comes from: the champion exported from the registry, or a folder; followed while the consumer runs.

Which version judged which entries is noted beside the position of the reader, so that a replay judges as before.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from aiops.detection.levels import CATALOGUE_VERSION, AlarmLevels, CatalogueLevels, Tier1
from aiops.errors import ArtifactError, ModelNotFound
from aiops.settings.tree import Settings
from models.artifacts.tenant_models import SEPARATOR, own_name, owner_of
from serving.stream.streams import START, id_parts

NAME: Final = "robust-stream"
CHAMPION: Final = "champion"
_KEPT_CHANGES: Final = 64

log = logging.getLogger(__name__)


class Tier1Source(Protocol):
    """Says which version is to be in force, and loads versions."""

    def version(self) -> str:
        """Return the version wanted now, "" where there is none. Raises: ArtifactError."""
        ...

    def load(self, version: str) -> Tier1:
        """Return a version; the catalogue's levels for "". Raises: ArtifactError, ModelNotFound."""
        ...

    def champion(self) -> Tier1:
        """Return the version wanted now. Raises: ArtifactError, ModelNotFound."""
        ...


@dataclass(frozen=True, slots=True)
class ExportedTier1:
    """The champion of `robust-stream` among the models exported to `root`, and those of tenants that have their own; no MLflow.

    Where tenants have their own, the version names all: `<shared>;<tenant>=<version>;…`, tenants ascending.
    """

    root: Path

    def version(self) -> str:
        """Return the version the alias names, "" where there is none."""
        owners = sorted(filter(None, (owner_of(NAME, path.name) for path in self.root.glob(f"{NAME}{SEPARATOR}*"))))
        own = [(tenant, self._exported(own_name(NAME, tenant))) for tenant in owners]
        return ";".join([self._exported(NAME), *(f"{tenant}={version}" for tenant, version in own if version)])

    def _exported(self, name: str) -> str:
        from models.artifacts.export import exported_version

        try:
            return exported_version(self.root, name, CHAMPION) or CATALOGUE_VERSION
        except (OSError, ValueError, AttributeError) as error:
            raise ArtifactError(f"aliases of {name} below {self.root} cannot be read ({error}); export it again") from error

    def load(self, version: str) -> Tier1:
        """Return a version from its folder, or folders."""
        shared, *own = version.split(";")
        pairs = [part.rpartition("=") for part in own]
        tenants = {tenant: self._loaded(own_name(NAME, tenant), number) for tenant, _, number in pairs}
        return Tier1(self._loaded(NAME, shared).levels, version, tenants)

    def _loaded(self, name: str, version: str) -> Tier1:
        if version == CATALOGUE_VERSION:
            return Tier1(CatalogueLevels(), version)
        folder = self.root / name / version
        if not folder.is_dir():
            raise ModelNotFound(f"{name} version {version} is not below {self.root}; export it from the registry")
        return Tier1(alarm_levels(folder), version)

    def champion(self) -> Tier1:
        """Return the version wanted now."""
        return self.load(self.version())


@dataclass(frozen=True, slots=True)
class FolderTier1:
    """One folder, whatever the registry says; its version is the beginning of the manifest's hash."""

    folder: Path

    def version(self) -> str:
        """Return what lies there now, "" where nothing does."""
        from models.artifacts.artifact import MANIFEST, read_manifest

        return read_manifest(self.folder)[1][:12] if (self.folder / MANIFEST).exists() else CATALOGUE_VERSION

    def load(self, version: str) -> Tier1:
        """Return what lies there if it still is that version."""
        if version == CATALOGUE_VERSION:
            return Tier1(CatalogueLevels(), version)
        if version != self.version():
            raise ModelNotFound(f"tier 1 version {version} is no longer in {self.folder}")
        return Tier1(alarm_levels(self.folder), version)

    def champion(self) -> Tier1:
        """Return what lies there now."""
        return self.load(self.version())


def tier1_source(settings: Settings) -> Tier1Source:
    """Return the source that the settings choose."""
    folder = settings.consumer.tier1_path
    return ExportedTier1(settings.exported_models_path) if folder is None else FolderTier1(folder)


def alarm_levels(folder: Path) -> AlarmLevels:
    """Return the alarm levels of an exported artifact; raises ArtifactError where it holds something else."""
    from models.artifacts.artifact import load_model

    model: Any = load_model(folder)
    if not isinstance(model, AlarmLevels):
        raise ArtifactError(f"{folder} holds a {type(model).__name__}; tier 1 needs alarm levels: export {NAME} there")
    return model


class Tier1Follower:
    """The newest tier 1 that could be loaded. What cannot be loaded is named once and tried again; the one before stays."""

    def __init__(self, source: Tier1Source, first: Tier1) -> None:
        self._source = source
        self._newest = first
        self._complaint = ""

    def newest(self) -> Tier1:
        """Return the version wanted now, or the last one that was sound. Cost: one small file, if nothing is new."""
        try:
            version = self._source.version()
            if version != self._newest.version:
                self._newest = self._source.load(version)
            self._complaint = ""
        except (ArtifactError, ModelNotFound) as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.error("tier 1 stays at version %s: %s", self._newest.version or "none", error)
        return self._newest


@dataclass(frozen=True, slots=True)
class InForce:
    """Which version judged the entries after which id: (id, version), ascending; bounded."""

    changes: tuple[tuple[str, str], ...] = ()

    @property
    def newest(self) -> str | None:
        """Return the version that judges now; None where that was never noted."""
        return self.changes[-1][1] if self.changes else None

    def at(self, entry_id: str) -> str | None:
        """Return the version that judged an entry; None where that is not known.

        >>> InForce((("0-0", "1"), ("7-0", "2"))).at("7-0")
        '1'
        """
        versions = [version for after, version in self.changes if id_parts(after) < id_parts(entry_id)]
        return versions[-1] if versions else None

    def followed_by(self, after: str, version: str, replayable_from: str = START) -> "InForce":
        """Return this with a change of version after an entry; what judged only entries up to `replayable_from` is left out.

        >>> InForce((("0-0", "1"), ("7-0", "2"))).followed_by("9-0", "3", "7-0").changes
        (('7-0', '2'), ('9-0', '3'))
        """
        changes = [change for change in self.changes if id_parts(change[0]) < id_parts(after)]
        ends = [begin for begin, _ in (*changes[1:], (after, version))]
        kept = [change for change, end in zip(changes, ends, strict=False) if id_parts(end) > id_parts(replayable_from)]
        return InForce((*kept[-_KEPT_CHANGES:], (after, version)))

    def to_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(self.changes)

    @classmethod
    def of_text(cls, text: str) -> "InForce":
        """Return what `to_text` wrote; "" = nothing noted."""
        return cls(tuple((str(after), str(version)) for after, version in json.loads(text or "[]")))
