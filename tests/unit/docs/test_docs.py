"""What the pages say exists: commands and options, settings, files, links and anchors."""

import re
import shlex
from pathlib import Path

import pytest

from aiops.settings.tree import NOT_SETTINGS
from orchestration.reference.setting_page import variables
from tests.testing.documentation import (
    ROOT,
    aiops_commands,
    blocks,
    check_command,
    check_mention,
    dead_links,
    name_of,
    named_paths,
    pages,
    prose,
    quoted,
    shell_lines,
    steps,
)

ROOMS = (
    "data_contracts",
    "aiops",
    "models",
    "serving",
    "orchestration",
    "feature_repo",
    "infra",
    "tests",
    "docs",
    ".ci",
    ".github",
)
MADE_BY_USE = (".aiops", ".venv", "docs/_build", "feature_repo/data")
RECORDS = ROOT / "infra" / "adr"
PAGES = [pytest.param(page, id=name_of(page)) for page in pages()]
CURRENT = [pytest.param(page, id=name_of(page)) for page in pages() if page.parent != RECORDS]
"""Pages that say what is so today; a decision record says what was so."""


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def known_variables() -> set[str]:
    of_compose = set(re.findall(r"\$\{(AIOPS_\w+)", read(ROOT / "infra" / "compose.yaml")))
    return set(variables()) | set(NOT_SETTINGS) | of_compose


def unknown_variables(text: str, known: set[str]) -> list[str]:
    """Return the variables of a text that are none; one that ends with `_` stands for all that begin so."""
    named = set(re.findall(r"(?<![A-Z0-9_])AIOPS_[A-Z0-9_]*", text)) - {"AIOPS_"}
    return sorted(
        name for name in named if name not in known and not (name.endswith("_") and any(k.startswith(name) for k in known))
    )


def absent_paths(page: Path, text: str) -> list[str]:
    absent = [span for span in named_paths(text, ROOMS) if not (ROOT / span).exists() and not (page.parent / span).exists()]
    return [span for span in absent if not span.startswith(MADE_BY_USE)]


@pytest.mark.parametrize("page", CURRENT)
def test_every_command_of_a_block_can_be_given(page: Path) -> None:
    for words in aiops_commands(read(page)):
        check_command(words)


@pytest.mark.parametrize("page", CURRENT)
def test_every_command_in_a_sentence_exists(page: Path) -> None:
    for span in quoted(read(page)):
        if span.startswith("aiops ") and "…" not in span:
            check_mention(shlex.split(span))


def test_the_pages_hold_commands() -> None:
    commands = [words for page in pages() for words in aiops_commands(read(page))]
    assert len(commands) > 60
    assert len({words[1] for words in commands}) > 12


@pytest.mark.parametrize(
    "line",
    [
        "aiops fly",
        "aiops run --fast",
        "aiops rejected",
        "aiops incidents show",
        "aiops incidents show one two",
        "aiops ingest --path telemetry.csv",
        "cd somewhere && AIOPS_HOME=there aiops up --slow",
        "aiops models | aiops read",
    ],
)
@pytest.mark.parametrize("block", ["```sh\n{}\n```", "```console\n$ {}\nprinted\n```", ":::{{note}}\n```text\n{}\n```\n:::"])
def test_a_command_that_cannot_be_given_is_found(line: str, block: str) -> None:
    """The control: the check above can fail, in each form of block."""
    commands = list(aiops_commands(block.format(line)))
    assert commands
    with pytest.raises(AssertionError, match=r"^aiops "):
        check_command(commands[-1])


@pytest.mark.parametrize("line", ["aiops fly", "aiops run --fast", "aiops incidents fly", "aiops --fast run"])
def test_a_command_in_a_sentence_that_does_not_exist_is_found(line: str) -> None:
    with pytest.raises(AssertionError, match=r"^aiops "):
        check_mention(shlex.split(line))


def test_what_a_console_block_prints_is_no_command() -> None:
    (block,) = blocks("<!-- run: exit 2 -->\n```console\n$ aiops \\\n  models\naiops is not a command here\n$ true\n```\n")
    assert block.run == 2
    assert [(step.command, step.printed) for step in steps(block)] == [
        ("aiops   models", ("aiops is not a command here",)),
        ("true", ()),
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_variable_exists(page: Path) -> None:
    assert unknown_variables(read(page), known_variables()) == []


def test_a_variable_that_does_not_exist_is_found() -> None:
    text = "`AIOPS_HOME`, `AIOPS_SPEED`, AIOPS_ROUTING__…, `AIOPS_FLYING__`"
    assert unknown_variables(text, known_variables()) == ["AIOPS_FLYING__", "AIOPS_SPEED"]


@pytest.mark.parametrize("page", PAGES)
def test_every_path_of_the_repository_exists(page: Path) -> None:
    assert absent_paths(page, read(page)) == []


def test_a_path_that_does_not_exist_is_found() -> None:
    text = "`serving/nothing.py`, `docs/`, `.aiops/report`, and\n```sh\ndocker build --file=infra/none .\n```\n"
    assert absent_paths(ROOT / "README.md", text) == ["serving/nothing.py", "infra/none"]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_anchor_leads_somewhere(page: Path) -> None:
    assert dead_links(page, read(page)) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    text = "# One heading\n[a](#one-heading) [b](#another) [c](docs/index.md) [d](docs/none.md) [e](docs/figures.md#detection)\n"
    text += "[f](docs/figures.md#none) ![g](none.svg) [h](https://example.org/x) [i](https:/example.org) [`j`](LICENSE)\n"
    assert dead_links(ROOT / "README.md", text) == [
        "#another",
        "docs/none.md",
        "docs/figures.md#none",
        "none.svg",
        "https:/example.org",
    ]


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), re.MULTILINE))
    for page in pages():
        text = read(page)
        named = {
            word for words in shell_lines(text) if words[0] == "make" for word in words[1:2] if not word.startswith(("-", "PY"))
        }
        named |= {span.split()[1] for span in quoted(text) if re.fullmatch(r"make [a-z-]+", span)}
        assert named <= targets, name_of(page)


def test_no_page_needs_anything_from_elsewhere() -> None:
    """Pictures are of this repository, and no diagram is drawn by a script."""
    for page in pages():
        text = read(page)
        assert not re.search(r"!\[[^\]]*\]\(https?:|<img|<script|```\{?mermaid", text), name_of(page)


def test_decision_records_are_numbered_short_and_complete() -> None:
    records = sorted(RECORDS.glob("*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        text = read(path)
        assert text.startswith(f"# {path.name[:4]} ")
        assert len(text.splitlines()) <= 60
        headings = ["Status", "## Context", "## Decision", "## Consequences", "## Alternatives"]
        assert re.findall(r"^(?:Status|## \w+)", text, re.MULTILINE) == headings


def test_prose_is_what_stands_outside_of_blocks() -> None:
    assert prose("a `b`\n```sh\n`c`\n```\nd") == "a `b`\n\nd"
