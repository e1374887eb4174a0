"""Registered models, versions and aliases as MLflow has them, and what it raises where it does not answer."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiops.errors import Unavailable, legible
from aiops.types import ModelVersion

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


@contextmanager
def registry_answers() -> Iterator[None]:
    """Say of what MLflow raises inside that the registry does not answer.

    Raises:
        Unavailable: it does not.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        raise Unavailable(f"the model registry does not answer: {legible(error)}; check mlflow_tracking_uri") from error


def is_registered(client: "MlflowClient", name: str) -> bool:
    """Return whether there is a model of this name."""
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return True


def ensure_registered(client: "MlflowClient", name: str) -> None:
    """Make a model of this name where there is none."""
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(name)


def aliases_of(client: "MlflowClient", name: str) -> dict[str, str]:
    """Return alias -> version; empty where the model was never registered."""
    from mlflow.exceptions import MlflowException

    try:
        return {alias: str(number) for alias, number in client.get_registered_model(name).aliases.items()}
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}


def model_version_of(stored: Any, aliases: Mapping[str, str]) -> ModelVersion:
    """Return a version with the aliases that name it."""
    names = tuple(sorted(alias for alias, number in aliases.items() if number == str(stored.version)))
    created = datetime.fromtimestamp(stored.creation_timestamp / 1000, tz=UTC)
    return ModelVersion(stored.name, str(stored.version), names, stored.run_id or "", created, dict(stored.tags))
