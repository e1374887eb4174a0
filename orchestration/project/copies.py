"""Which copy of the feature repository and of `dagster.yaml` counts: the project's where it has one, else the suite's own."""

from pathlib import Path
from typing import Final

from aiops.settings.tree import Settings

FEATURE_REPO: Final = "feature_repo"
INSTANCE: Final = "dagster.yaml"

_ROOMS: Final = Path(__file__).resolve().parents[2]
_IN_WHEEL: Final = Path(__file__).resolve().parent / "files"


def checkout() -> Path | None:
    """Return the root of the checkout that this code runs from, None where it is installed from a wheel."""
    return None if _IN_WHEEL.is_dir() else _ROOMS


def own_files() -> Path:
    """Return the folder that holds the suite's own `feature_repo/` and `dagster.yaml`."""
    return checkout() or _IN_WHEEL


def feature_definitions(settings: Settings) -> Path:
    """Return the `definitions.py` that Feast's objects come from; it need not exist."""
    return _folder(settings, FEATURE_REPO) / FEATURE_REPO / "definitions.py"


def dagster_instance(settings: Settings) -> Path:
    """Return the `dagster.yaml` that Dagster's instance is made from."""
    return _folder(settings, INSTANCE) / INSTANCE


def _folder(settings: Settings, name: str) -> Path:
    project = None if settings.project is None else settings.project.expanduser().absolute()
    return own_files() if project is None or not (project / name).exists() else project
