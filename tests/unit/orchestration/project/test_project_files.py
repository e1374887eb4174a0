"""`aiops init`: what it writes, what it refuses, and whose copy of the feature repository and of dagster.yaml is used."""

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from aiops.settings.reading import read_settings
from aiops.settings.settings_file import FILE, section_of
from aiops.settings.tree import Settings
from orchestration.cli import run
from orchestration.project.copies import dagster_instance, feature_definitions, own_files
from orchestration.project.settings_template import settings_template
from orchestration.project.writing import project_files

WRITTEN = {
    "aiops.toml",
    "dagster.yaml",
    "workspace.yaml",
    "feature_repo/.feastignore",
    "feature_repo/README.md",
    "feature_repo/definitions.py",
    "feature_repo/feature_store.yaml",
}


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return an empty folder that is the current one, with no settings in the environment."""
    for name in os.environ:
        if name.startswith("AIOPS_") or name == "MLFLOW_TRACKING_URI":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_project_is_written_and_used(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "here", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert (written["folder"], set(written["files"])) == (str(folder / "here"), WRITTEN)
    assert {str(path.relative_to(folder / "here")) for path in (folder / "here").rglob("*") if path.is_file()} == WRITTEN
    assert feature_definitions(read_settings()) == own_files() / "feature_repo" / "definitions.py"
    os.chdir("here")
    settings = read_settings()
    assert settings.root == folder / "here" / ".aiops"
    assert feature_definitions(settings) == folder / "here" / "feature_repo" / "definitions.py"
    assert dagster_instance(settings) == folder / "here" / "dagster.yaml"


def test_a_copy_that_is_removed_gives_way_to_the_suites_own(folder: Path) -> None:
    assert run(["init"]) == 0
    (folder / "dagster.yaml").unlink()
    (folder / "feature_repo").rename(folder / "aside")
    settings = read_settings()
    assert dagster_instance(settings) == own_files() / "dagster.yaml"
    assert feature_definitions(settings) == own_files() / "feature_repo" / "definitions.py"
    assert dagster_instance(settings).is_file()
    assert feature_definitions(settings).is_file()


def test_nothing_is_overwritten_and_all_or_nothing_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "feature_repo").mkdir()
    own_copy = folder / "feature_repo" / "definitions.py"
    own_copy.write_text("mine")
    assert run(["init"]) == 2
    assert "feature_repo/definitions.py exists already" in capsys.readouterr().err
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["definitions.py"]
    assert run(["init", "--force"]) == 0
    assert own_copy.read_bytes() == project_files()["feature_repo/definitions.py"]
    assert run(["init", ".", "--json"]) == 2
    shown = capsys.readouterr()
    assert all(name in shown.err for name in WRITTEN)


@pytest.mark.parametrize("name", ["taken", "folder/feature_repo"])
def test_a_file_in_the_place_of_a_folder_is_refused(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("a file")
    assert run(["init", name.split("/", maxsplit=1)[0], "--force"]) == 2
    assert f"{folder / name}: it is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["aiops.toml", "workspace.yaml", "feature_repo/definitions.py"])
@pytest.mark.parametrize("kind", ["folder", "link that leads nowhere"])
def test_what_is_no_file_is_refused_before_anything_is_written(
    kind: str, name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = folder / "shop" / name
    place.parent.mkdir(parents=True)
    if kind == "folder":
        place.mkdir()
    else:
        place.symlink_to(folder / "nowhere")
    assert run(["init", "shop", "--force"]) == 2
    assert f"shop/{name}: it is no file" in capsys.readouterr().err
    assert [path for path in (folder / "shop").rglob("*") if path.is_file()] == []


def test_a_folder_that_is_a_link_to_nowhere_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "shop").symlink_to(folder / "nowhere")
    assert run(["init", "shop"]) == 2
    assert "shop: it is no folder" in capsys.readouterr().err


def test_the_settings_file_says_every_setting_and_sets_none(folder: Path) -> None:
    text = settings_template()
    (folder / FILE).write_text(text, encoding="utf-8")
    assert tomllib.loads(text) == {name: {} for name in sections()}
    assert read_settings() == Settings(home=folder / ".aiops", project=folder)


def test_every_commented_setting_is_the_default_in_toml() -> None:
    """Each taken out of its comment says what holds anyway; what is unset by default is shown as an empty text."""
    lines = [
        line.removeprefix("#") if line.startswith("#") and line[1] != " " else line for line in settings_template().splitlines()
    ]
    shown = tomllib.loads("\n".join(lines))
    assert shown == {
        **{name: written(field.default) for name, field in Settings.model_fields.items() if name not in sections()},
        **{
            name: {key: written(field.default) for key, field in model.model_fields.items()} for name, model in sections().items()
        },
    }


def sections() -> dict[str, Any]:
    section_of_name = {name: section_of(field) for name, field in Settings.model_fields.items()}
    return {name: model for name, model in section_of_name.items() if model is not None}


def written(default: object) -> object:
    return "" if default is None else str(default) if isinstance(default, Path) else default


def test_files_are_their_owners_alone(folder: Path) -> None:
    """The settings file may hold secrets. What the command line sets at its start holds here too."""
    before = os.umask(0o077)
    try:
        assert run(["init"]) == 0
    finally:
        os.umask(before)
    assert (folder / FILE).stat().st_mode & 0o077 == 0
