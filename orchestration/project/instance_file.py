"""Read the `dagster.yaml` in force, and say what is wrong with it: users edit their copy."""

from pathlib import Path

from aiops.errors import ConfigurationError
from aiops.settings.tree import Settings
from orchestration.project.copies import INSTANCE, dagster_instance, own_files


def read_instance_file(settings: Settings) -> bytes:
    """Return the text of the `dagster.yaml` in force.

    Raises:
        ConfigurationError: it is a copy that Dagster does not accept; the message names the file and what is wrong.
    """
    path = dagster_instance(settings)
    text = path.read_bytes()
    if text != (own_files() / INSTANCE).read_bytes():
        _check(path)
    return text


def _check(path: Path) -> None:
    import yaml
    from dagster import DagsterInvalidConfigError
    from dagster._check import CheckError
    from dagster._core.instance.config import dagster_instance_config

    try:
        dagster_instance_config(str(path.parent), path.name)
    except (yaml.YAMLError, DagsterInvalidConfigError, CheckError, UnicodeDecodeError) as error:
        fault = " ".join(str(error).split())
        raise ConfigurationError(f"{path}: {fault}; mend it, or remove it and the suite's own is used") from error
