"""Where models come from: one port, and the adapters for memory, for a folder of exported models and for the registry."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, cast, runtime_checkable

from aiops.errors import ArtifactError, ModelNotFound
from aiops.ports import VectorModel
from aiops.settings.tree import Settings
from aiops.types import FloatArray
from data_contracts.series.tenant import DEFAULT_TENANT
from models.artifacts.artifact import Example, load_artifact
from models.artifacts.catalog import FittedModel, descriptor_of
from models.artifacts.tenant_models import SEPARATOR, owner_of

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
_NO_DATABASE: Final = -1
_ALWAYS_ASK: Final = -2


class ExplainableModel(VectorModel, Protocol):
    """A vector model whose contributions start from a base: `base() + explain(row).sum()` is the margin of its last output."""

    def base(self) -> float:
        """Return what the contributions are added to, in their unit."""
        ...


@runtime_checkable
class SharingModel(Protocol):
    """A model of several members that says what each of them adds."""

    @property
    def member_names(self) -> tuple[str, ...]:
        """Return the members' names, in order."""
        ...

    def score_and_shares(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return scores (n, outputs) and shares (n, members), NaN = the member abstains."""
        ...


@runtime_checkable
class ReasoningModel(Protocol):
    """A model that reasons in terms of its own, made of its features."""

    def reasons(self, rows: FloatArray) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
        """Return the terms, their values (n, terms) and their contributions (n, terms) to the last output's margin."""
        ...


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model ready to answer, with the example that proves it: `example_rows` (n, features) gave `example_scores`.

    `sharing` is the same model where it has members, None where not: found once, for a runtime protocol is slow to ask.
    """

    model: ExplainableModel
    version: str
    example_rows: FloatArray
    example_scores: FloatArray
    base_value: float
    sharing: SharingModel | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sharing", self.model if isinstance(self.model, SharingModel) else None)


def served_model(model: ExplainableModel, version: str, example_rows: FloatArray, example_scores: FloatArray) -> ServedModel:
    """Return the model with its base value, which is computed once."""
    return ServedModel(model, version, example_rows, example_scores, model.base())


def owners_of(name: str, registered: Iterable[str]) -> frozenset[str]:
    """Return the tenants that have a model of their own among registered names."""
    return frozenset(tenant for registered_name in registered if (tenant := owner_of(name, registered_name)) is not None)


class ModelSource(Protocol):
    """Answers which version an alias names, and loads it. Both may be called from a background thread."""

    def version_of(self, name: str, alias: str) -> str | None:
        """Return the version `alias` names now; None where there is no such alias."""
        ...

    def tenants_with(self, name: str) -> Collection[str]:
        """Return the tenants that have a model `name` of their own, registered by `tenant_models.own_name`."""
        ...

    def load(self, name: str, version: str) -> ServedModel:
        """Load one version with its example.

        Raises:
            AiopsError: it is not there or is damaged.
        """
        ...


@dataclass(slots=True)
class MemoryModels:
    """Models held in memory; for tests and for a service inside another process."""

    models: dict[tuple[str, str], ServedModel] = field(default_factory=dict)
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, name: str, served: ServedModel, alias: str | None = None) -> None:
        """Store one version, and let `alias` name it."""
        self.models[(name, served.version)] = served
        if alias is not None:
            self.aliases[(name, alias)] = served.version

    def version_of(self, name: str, alias: str) -> str | None:
        """Return the version `alias` names; None where there is no such alias."""
        return self.aliases.get((name, alias))

    def tenants_with(self, name: str) -> Collection[str]:
        """Return the tenants for whose own model an alias was added."""
        return owners_of(name, (registered for registered, _ in list(self.aliases)))

    def load(self, name: str, version: str) -> ServedModel:
        """Return a stored version.

        Raises:
            ModelNotFound: it was never added.
        """
        try:
            return self.models[(name, version)]
        except KeyError as error:
            raise ModelNotFound(f"model = {name}, version = {version}: not in memory. Add it first.") from error


def served_artifact(folder: Path, version: str) -> ServedModel:
    """Load an artifact that was written by `models.artifacts.artifact.save_model` with an example.

    Raises:
        ArtifactError: it is damaged, holds no example, or holds something else than a vector model.
    """
    artifact = load_artifact(folder)
    return _adapted(artifact.model, version, artifact.example)


def _adapted(model: FittedModel, version: str, example: Example | None) -> ServedModel:
    """Return a stored version as what answers, by the adapter of its descriptor."""
    served: ServedModel = descriptor_of(model.catalog_name).part("adapter")(model, version, example)
    return served


def served_vectors(model: FittedModel, version: str, example: Example | None) -> ServedModel:
    """Return a vector model with the example that proves it; raises ArtifactError where it has none or cannot be explained."""
    if example is None or not hasattr(model, "explain"):
        raise ArtifactError(
            f"{model.catalog_name} {version}: only a vector model saved with its example is served. Train it anew."
        )
    return served_model(cast(ExplainableModel, model), version, example.rows, example.scores)


@dataclass(frozen=True, slots=True)
class FolderModels:
    """Exported models: `<root>/<name>/aliases.json` ({"champion": "3"}) and the artifact `<root>/<name>/<version>/`.

    Write the version first and replace `aliases.json` last, by rename.
    """

    root: Path
    load_version: Callable[[Path, str], ServedModel] = served_artifact

    def version_of(self, name: str, alias: str) -> str | None:
        """Return the version `alias` names; None where there is no such alias.

        Raises:
            ArtifactError: the alias file is not a JSON object.
        """
        path = self.root / name / "aliases.json"
        try:
            aliases = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ArtifactError(f"{path}: not JSON. Write {{'{alias}': '<version>'}} and replace the file by rename.") from error
        version = aliases.get(alias) if isinstance(aliases, Mapping) else None
        return None if version is None else str(version)

    def tenants_with(self, name: str) -> Collection[str]:
        """Return the tenants whose own model was exported."""
        return owners_of(name, (path.parent.name for path in self.root.glob(f"{name}{SEPARATOR}*/aliases.json")))

    def load(self, name: str, version: str) -> ServedModel:
        """Load one version from its folder.

        Raises:
            ModelNotFound: there is no such folder.
            ArtifactError: the artifact or its example is damaged.
        """
        folder = self.root / name / version
        if not folder.is_dir():
            raise ModelNotFound(f"model = {name}, version = {version}: no folder {folder}. Export the version there.")
        return self.load_version(folder, version)


@dataclass(slots=True)
class RegistryModels:
    """Models of the MLflow registry. An SQLite registry whose file has not changed is not asked again."""

    settings: Settings
    _changed_ns: int = _NO_DATABASE
    _versions: dict[tuple[str, str], str | None] = field(default_factory=dict)
    _names: tuple[str, ...] = ()
    _names_changed_ns: int = _NO_DATABASE

    def __post_init__(self) -> None:
        """Ask by registered names: those of the shared models, and those of tenants."""
        self.settings = self.settings.model_copy(update={"tenant": DEFAULT_TENANT})

    def version_of(self, name: str, alias: str) -> str | None:
        """Return the version `alias` names; None where there is no such model or alias."""
        from models.artifacts.registry import Registry

        changed_ns = self._database_changed_ns()
        if changed_ns == _NO_DATABASE:
            return None  # asking would create it, perhaps while another process does
        if changed_ns != self._changed_ns:
            self._versions.clear()
            self._changed_ns = changed_ns
        if changed_ns != _ALWAYS_ASK and (name, alias) in self._versions:
            return self._versions[(name, alias)]
        try:
            version = Registry(self.settings).get(name, alias).version
        except ModelNotFound:
            version = None
        self._versions[(name, alias)] = version
        return version

    def tenants_with(self, name: str) -> Collection[str]:
        """Return the tenants whose own model is registered."""
        from models.artifacts.registry import Registry

        changed_ns = self._database_changed_ns()
        if changed_ns == _NO_DATABASE:
            return ()
        if changed_ns == _ALWAYS_ASK or changed_ns != self._names_changed_ns:
            self._names, self._names_changed_ns = Registry(self.settings).names(), changed_ns
        return owners_of(name, self._names)

    def load(self, name: str, version: str) -> ServedModel:
        """Load one version.

        Raises:
            ModelNotFound: the registry has no such version.
            ArtifactError: the artifact is damaged or was registered without an example.
        """
        from models.artifacts.registry import Registry

        loaded = Registry(self.settings).load(name, version)
        return _adapted(loaded.model, loaded.version.version, loaded.example)

    def _database_changed_ns(self) -> int:
        """Return when the registry's SQLite file changed last; for any other registry, one that must always be asked."""
        uri = self.settings.tracking_uri
        if not uri.startswith("sqlite:///"):
            return _ALWAYS_ASK
        path = Path(uri.removeprefix("sqlite:///"))
        times = [file.stat().st_mtime_ns for file in (path, path.with_name(path.name + "-wal")) if file.exists()]
        return max(times, default=_NO_DATABASE)
