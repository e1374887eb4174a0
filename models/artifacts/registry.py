"""The model registry: it and the modules named mlflow_* beside it import MLflow, and only when a method is called.

Models are logged as pyfunc with our own loader, so nothing is pickled; every change is in the audit log.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from aiops.errors import ModelNotFound
from aiops.settings.tree import Settings
from aiops.types import GateDecision, ModelVersion
from models.artifacts.artifact import Example, load_artifact, save_model
from models.artifacts.audit import CHALLENGER, CHAMPION, AliasMove, AuditEntry, AuditLog, Change
from models.artifacts.catalog import FittedModel
from models.artifacts.export import export_artifact, write_aliases
from models.artifacts.mlflow_log import DATA, log_figures, log_model, log_run
from models.artifacts.mlflow_versions import aliases_of, ensure_registered, is_registered, model_version_of
from models.artifacts.run_record import decision_tags, run_tags
from models.artifacts.tenant_models import own_name
from models.artifacts.training_run import TrainingRun

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT: Final = "aiops"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model of the registry; `example` is what it must score again after loading. `digest` names its bytes."""

    model: FittedModel
    version: ModelVersion
    example: Example | None
    digest: str


class Registry:
    """Versions and aliases of models; opening it touches nothing. Safe in several processes, as MLflow's store is.

    It is that of the settings' tenant: what a tenant registers and moves are models of its own (`tenant_models.own_name`), and
    what it reads are those, else the shared ones.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = AuditLog(settings.root / "registry" / "audit.jsonl")

    @property
    def export_root(self) -> Path:
        """Return the folder of models exported for processes without MLflow."""
        return self._settings.root / "models"

    def register(self, model: FittedModel, run: TrainingRun, change: Change) -> ModelVersion:
        """Log the training with its model and return the new version, without an alias.

        Versions beyond `keep_versions` are deleted, oldest first, never one with an alias or one a rollback would return to.
        """
        name = self._own(model.catalog_name)
        with self._mlflow() as client, TemporaryDirectory(prefix="register-") as folder:
            save_model(model, Path(folder) / DATA, run.example)
            started = client.create_run(
                self._experiment(client), tags=run_tags(run), run_name=f"{name} {change.at:%Y-%m-%d %H:%M}"
            )
            run_id = started.info.run_id
            log_run(client, run_id, run)
            logged = log_model(client, started.info, model, run, Path(folder) / DATA)
            ensure_registered(client, name)
            created = client.create_model_version(name, logged.model_uri, run_id, tags=dict(run.tags), model_id=logged.model_id)
            client.set_terminated(run_id)
            self._log.append("register", name, str(created.version), change)
            self._retain(client, name, change)
            return self._version(client, name, str(created.version))

    def record_decision(self, name: str, version: str, decision: GateDecision, change: Change) -> None:
        """Store a gate's decision, its reason, checks and both scorecards as tags of the version, and in the audit log."""
        name = self._own(name)
        with self._mlflow() as client:
            for key, value in decision_tags(decision, change).items():
                client.set_model_version_tag(name, version, key, value)
        self._log.append("gate", name, version, Change(change.who, change.at, decision.reason))

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """Return all versions with their aliases, newest first; empty where the model was never registered."""
        with self._mlflow() as client:
            name = self._own(name) if is_registered(client, self._own(name)) else name
            aliases = aliases_of(client, name)
            stored_versions = client.search_model_versions(f"name = '{name}'", max_results=10_000)
            newest_first = sorted(stored_versions, key=lambda version: int(version.version), reverse=True)
            return tuple(model_version_of(version, aliases) for version in newest_first)

    def names(self) -> tuple[str, ...]:
        """Return the names of all registered models, those of tenants too."""
        with self._mlflow() as client:
            return tuple(registered.name for registered in client.search_registered_models(max_results=1000))

    def get(self, name: str, alias_or_version: str) -> ModelVersion:
        """Return one version; raises ModelNotFound where there is no such model, alias or version."""
        with self._mlflow() as client:
            return self._version(client, name, alias_or_version)

    def set_alias(self, name: str, alias: str, version: str, change: Change) -> ModelVersion:
        """Let an alias name a version and export it; raises ModelNotFound. A new champion is no longer the challenger."""
        return self._move(AliasMove("alias", name, alias, version), change)

    def rollback(self, name: str, change: Change) -> ModelVersion:
        """Return the previous champion, which is the champion again; another rollback goes one further back.

        Raises:
            ModelNotFound: there is no champion, or none before it that still exists.
        """
        return self._move(AliasMove("rollback", self._own(name), CHAMPION, self.champion_before(name)), change)

    def champion_before(self, name: str) -> str:
        """Return the version that a rollback would return to.

        Raises:
            ModelNotFound: there is no champion, or none before it that still exists.
        """
        name = self._own(name)
        current = self.get(name, CHAMPION).version
        existing = {version.version for version in self.versions(name)}
        stack = self._log.past_champions(name)
        older = [
            version
            for version in (stack[:-1] if stack[-1:] == [current] else stack)
            if version != current and version in existing
        ]
        if not older:
            raise ModelNotFound(f"model {name!r}: no champion before version {current}; promote another version instead")
        return older[-1]

    def has_own(self, name: str) -> bool:
        """Return whether the tenant has registered a model of its own under this name."""
        with self._mlflow() as client:
            return is_registered(client, self._own(name))

    def load(self, name: str, alias_or_version: str) -> LoadedModel:
        """Load one version, checked against its manifest.

        Raises:
            ModelNotFound: there is no such model, alias or version.
            ArtifactError: its files are damaged or of another format.
        """
        with self._mlflow() as client, self._artifact(client, name, alias_or_version) as (folder, version):
            artifact = load_artifact(folder)
            return LoadedModel(artifact.model, version, artifact.example, artifact.digest)

    def find(self, name: str, alias_or_version: str) -> LoadedModel | None:
        """Load one version as `load` does; None where there is no such model, alias or version. Raises: ArtifactError."""
        try:
            return self.load(name, alias_or_version)
        except ModelNotFound:
            return None

    def export(self, name: str, alias_or_version: str, root: Path | None = None) -> Path:
        """Copy a version to `<root>/<name>/<version>` (whole or not at all), then replace `aliases.json`; return the folder."""
        target = root or self.export_root
        with self._mlflow() as client:
            with self._artifact(client, name, alias_or_version) as (folder, version):
                name = version.name
                exported = export_artifact(folder, target, name, version.version)
            write_aliases(target, name, {a: v for a, v in aliases_of(client, name).items() if (target / name / v).is_dir()})
        return exported

    def attach(self, name: str, version: str, file: Path) -> None:
        """Keep a file (a drift report) with the training run of a version; raises ModelNotFound."""
        with self._mlflow() as client:
            client.log_artifact(self._version(client, name, version).run_id, str(file), "reports")

    def figures(self, name: str, alias_or_version: str = CHAMPION) -> dict[str, bytes]:
        """Return the figures of a version's training by file name; raises ModelNotFound."""
        with self._mlflow() as client, TemporaryDirectory(prefix="figures-") as folder:
            run_id = self._version(client, name, alias_or_version).run_id
            paths = [entry.path for entry in client.list_artifacts(run_id, "figures")]
            return {Path(path).name: Path(client.download_artifacts(run_id, path, folder)).read_bytes() for path in paths}

    def replace_figures(self, name: str, version: str, figures: Mapping[str, bytes]) -> None:
        """Let figures (file name to bytes) take the place of those of the same name at a version; raises ModelNotFound."""
        with self._mlflow() as client:
            log_figures(client, self._version(client, name, version).run_id, figures)

    def audit(self, name: str | None = None) -> tuple[AuditEntry, ...]:
        """Return the audit log of a model, or of all, oldest first."""
        return tuple(self._log.entries(name))

    def _own(self, name: str) -> str:
        return own_name(name, self._settings.tenant)

    def _move(self, move: AliasMove, change: Change) -> ModelVersion:
        name, alias = self._own(move.name), move.alias
        with self._mlflow() as client:
            moved = self._version(client, name, move.version)
            client.set_registered_model_alias(name, alias, moved.version)
            if alias == CHAMPION and CHALLENGER in moved.aliases:
                client.delete_registered_model_alias(name, CHALLENGER)
            self._log.append(move.action, name, moved.version, change, alias)
        self.export(name, moved.version)
        return self.get(name, moved.version)

    def _version(self, client: "MlflowClient", name: str, alias_or_version: str) -> ModelVersion:
        from mlflow.exceptions import MlflowException

        aliases = aliases_of(client, self._own(name))
        if alias_or_version in aliases or (alias_or_version.isdigit() and is_registered(client, self._own(name))):
            name = self._own(name)
        elif self._own(name) != name:
            aliases = aliases_of(client, name)
        number = aliases.get(alias_or_version, alias_or_version)
        if not number.isdigit():
            raise ModelNotFound(f"model {name!r} has no alias {alias_or_version!r}; it has {sorted(aliases) or 'none'}")
        try:
            return model_version_of(client.get_model_version(name, number), aliases)
        except MlflowException as error:
            raise ModelNotFound(f"model {name!r} has no version {number}; `aiops models` lists what there is") from error

    @contextmanager
    def _artifact(self, client: "MlflowClient", name: str, alias_or_version: str) -> Iterator[tuple[Path, ModelVersion]]:
        import mlflow.artifacts

        version = self._version(client, name, alias_or_version)
        local = mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{version.name}/{version.version}/data/{DATA}")
        yield Path(local), version

    def _retain(self, client: "MlflowClient", name: str, change: Change) -> None:
        numbers = sorted((int(version.version) for version in client.search_model_versions(f"name = '{name}'")), reverse=True)
        kept = {*aliases_of(client, name).values(), *self._log.past_champions(name)[-2:]}
        for number in numbers[self._settings.models.keep_versions :]:
            if str(number) not in kept:
                client.delete_model_version(name, str(number))
                self._log.append("delete", name, str(number), Change(change.who, change.at, "beyond keep_versions"))

    def _experiment(self, client: "MlflowClient") -> str:
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is not None:
            return str(experiment.experiment_id)
        served = self._settings.tracking_uri.startswith("http")  # an MLflow server decides itself where artifacts lie
        location = None if served else (self._settings.root / "mlflow" / "artifacts").as_uri()
        return str(client.create_experiment(EXPERIMENT, artifact_location=location))

    @contextmanager
    def _mlflow(self) -> "Iterator[MlflowClient]":
        import mlflow

        uri = self._settings.tracking_uri
        if uri.startswith("sqlite:///"):
            Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        if mlflow.get_tracking_uri() != uri:
            _set_uri(uri)
        yield mlflow.MlflowClient(uri, uri)


def _set_uri(uri: str) -> None:
    """Set MLflow's store; what MLflow then writes to the environment is undone, or the next `Settings()` would read it."""
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    if before is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    else:
        os.environ["MLFLOW_TRACKING_URI"] = before
