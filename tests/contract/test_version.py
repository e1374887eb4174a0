"""One place says the version (`aiops/version.py`); everything that shows one agrees with it."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiops.version import __version__

ROOT = Path(__file__).parents[2]


def test_the_build_reads_it_from_the_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert "version" not in project["project"]
    assert f'__version__ = "{__version__}"' in (ROOT / project["tool"]["hatch"]["version"]["path"]).read_text(encoding="utf-8")


def test_the_command_line_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    from orchestration.cli import run

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"aiops {__version__}\n"


def test_images_and_their_label_bear_it() -> None:
    texts = [(path, path.read_text(encoding="utf-8")) for path in (ROOT / "infra").rglob("*") if path.is_file()]
    tags = {(str(path.relative_to(ROOT)), tag) for path, text in texts for tag in re.findall(r"aiops-suite:(\d[\w.]*)", text)}
    assert {tag for _, tag in tags} == {__version__}
    assert len(tags) >= 7
    kustomization: dict[str, Any] = yaml.safe_load((ROOT / "infra/kubernetes/kustomization.yaml").read_text(encoding="utf-8"))
    assert [image["newTag"] for image in kustomization["images"]] == [__version__]
    label = re.findall(
        r'org\.opencontainers\.image\.version="([^"]*)"', (ROOT / "infra/Containerfile").read_text(encoding="utf-8")
    )
    assert label == [__version__]


def test_descriptions_of_the_apis_bear_it() -> None:
    from serving.scoring.http_api.scoring_openapi import openapi

    assert openapi()["info"]["version"] == __version__
    assert f'version="{__version__}"' not in (ROOT / "serving/incidents/api/app.py").read_text(encoding="utf-8")


def test_pages_that_name_a_wheel_name_this_one() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")]
    named = {name for page in pages for name in re.findall(r"aiops_suite-(\d[\d.]*\d)", page.read_text(encoding="utf-8"))}
    assert named == {__version__}


def test_the_newest_release_in_the_changelog_is_it() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[?([^\]\s]+)\]?(?: - (\S+))?$", text, re.MULTILINE)
    assert headings[0] == ("Unreleased", ""), "what comes next has a place"
    (newest, day), *older = headings[1:]
    assert newest == __version__
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", day), "a release has a day"
    numbers = [tuple(map(int, version.split("."))) for version, _ in (headings[1], *older)]
    assert numbers == sorted(numbers, reverse=True)
