"""Write a project: copies of the feature repository and of `dagster.yaml`, a settings file, a workspace for `dagster dev`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiops.errors import ConfigurationError
from aiops.settings.settings_file import FILE
from orchestration.project.copies import FEATURE_REPO, INSTANCE, own_files
from orchestration.project.settings_template import settings_template

WORKSPACE: Final = "workspace.yaml"
_WORKSPACE_TEXT: Final = """\
# Read by `dagster dev` in this folder: where the suite's assets, jobs, schedules and sensors are.
load_from:
  - python_module: orchestration.definitions
"""
_LEFT_OUT: Final = frozenset({"__pycache__", "data"})


@dataclass(frozen=True, slots=True)
class Written:
    """A project: its folder and the files that were written, relative to it."""

    folder: Path
    files: tuple[str, ...]


def write_project(folder: Path, force: bool = False) -> Written:
    """Write a project into `folder`, which is made where it is missing; every file or none.

    Raises:
        ConfigurationError: a file exists and `force` is not given (the message names it), or a file stands where a folder must.
    """
    texts = project_files()
    for path in (folder, folder / FEATURE_REPO):
        if _is_there(path) and not path.is_dir():
            raise ConfigurationError(f"{path}: it is no folder, and one is needed there; move it away or give another folder")
    present = [name for name in texts if _is_there(folder / name)]
    odd = [name for name in present if not (folder / name).is_file()]
    if odd:
        raise ConfigurationError(
            f"{folder / odd[0]}: it is no file, and one is written there; move it away or give another folder"
        )
    if present and not force:
        raise ConfigurationError(
            f"{folder}: {', '.join(present)} exist{'s' if len(present) == 1 else ''} already; give another folder,"
            " or --force to overwrite (changes in them are lost)"
        )
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    return Written(folder, tuple(texts))


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()  # a link that leads nowhere, too


def project_files() -> Mapping[str, bytes]:
    """Return the files of a new project by path relative to its folder."""
    source = own_files()
    repository = sorted(path for path in (source / FEATURE_REPO).iterdir() if path.name not in _LEFT_OUT)
    return {
        FILE: settings_template().encode(),
        INSTANCE: (source / INSTANCE).read_bytes(),
        WORKSPACE: _WORKSPACE_TEXT.encode(),
        **{f"{FEATURE_REPO}/{path.name}": path.read_bytes() for path in repository},
    }
