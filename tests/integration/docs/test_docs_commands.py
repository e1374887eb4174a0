"""Blocks of the pages that are marked as run are run, as they stand, and print what the page says.

A block is marked by the line `<!-- run -->` before it (`<!-- run: exit 2 -->` where its last command ends so). All blocks of a
page are run in order in one empty folder. Of what a command prints on stdout, `…` stands for any text of a line and a line `...`
for any lines; where a page shows nothing, anything may be printed.
"""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.testing.documentation import SHELLS, Block, Step, blocks, name_of, pages, steps

ANY_LINES = "..."
ANY_TEXT = "…"


def marked(page: Path) -> list[Block]:
    return [block for block in blocks(page.read_text(encoding="utf-8")) if block.run is not None]


RUN = [pytest.param(page, id=name_of(page)) for page in pages() if marked(page)]


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a newcomer: nothing of ours is set, and `aiops` is found first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIOPS_", "MLFLOW_", "DAGSTER_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "HOME": str(home), "COLUMNS": "120", "DO_NOT_TRACK": "true", "NO_COLOR": "1"}


def run(step: Step, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = ["bash", "-o", "pipefail", "-c", step.command]
    return subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)


def pattern(promised: Sequence[str]) -> "re.Pattern[str]":
    """Return what the lines of stdout should match, each without the spaces at its end."""
    parts = []
    for line in promised:
        if line.strip() == ANY_LINES:
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            parts.append("[^\n]*".join(re.escape(part) for part in line.rstrip().split(ANY_TEXT)) + r"\n")
    return re.compile("".join(parts))


def check(page: Path, folder: Path) -> None:
    for block in marked(page):
        commands = list(steps(block))
        for number, step in enumerate(commands):
            done = run(step, folder)
            code = block.run if number == len(commands) - 1 else 0
            assert done.returncode == code, f"$ {step.command}\n{done.stdout}{done.stderr}"
            printed = "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())
            assert not step.printed or pattern(step.printed).fullmatch(printed), f"$ {step.command}\n{printed}"


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_what_a_page_runs_does_what_it_says(page: Path, tmp_path: Path) -> None:
    check(page, tmp_path)


def test_pages_run_commands() -> None:
    assert RUN
    for page in (marked_page for param in RUN for marked_page in param.values):
        assert isinstance(page, Path)
        assert all(block.language == "console" and list(steps(block)) for block in marked(page))
        assert all(block.language in SHELLS for block in marked(page))


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ("<!-- run -->\n```console\n$ echo one\ntwo\n```\n", "one"),
        ("<!-- run -->\n```console\n$ echo one; echo two\none\n```\n", "two"),
        ("<!-- run -->\n```console\n$ false\n```\n", "false"),
        ("<!-- run -->\n```console\n$ false | true\n```\n", "false"),
        ("<!-- run: exit 2 -->\n```console\n$ true\n```\n", "true"),
        ("<!-- run -->\n```console\n$ false\n$ true\n```\n", "false"),
    ],
)
def test_a_block_that_does_something_else_is_found(block: str, complaint: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(block, encoding="utf-8")
    with pytest.raises(AssertionError, match=complaint):
        check(page, tmp_path)


def test_what_is_left_open_may_be_anything(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    lines = "$ mkdir made && printf 'a 1\\nb\\nc\\n'\na …\n...\nc\n$ ls | sort\nmade\npage.md\n$ printf 'x \\n'\nx\n$ echo unsaid"
    page.write_text(f"<!-- run -->\n```console\n{lines}\n```\n\n<!-- run: exit 3 -->\n```console\n$ rmdir made\n$ exit 3\n```\n")
    check(page, tmp_path)
    assert not (tmp_path / "made").exists()
