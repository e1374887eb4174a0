"""Pages of Markdown as data: fenced blocks, commands, links and anchors. What is checked of them is in the tests."""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import typer
from typer.main import get_command

ROOT: Final = Path(__file__).parents[2]
SHELLS: Final = frozenset({"sh", "bash", "shell", "console", "text", ""})
_FENCE: Final = re.compile(
    r"(?:^[ ]*<!--[ ]*run(?P<how>[^>]*?)[ ]*-->\n\s*)?"
    r"^(?P<indent>[ ]*)(?P<mark>```+|:::+)(?P<language>[^\n`]*)\n(?P<body>.*?)^(?P=indent)(?P=mark)[ ]*$",
    re.DOTALL | re.MULTILINE,
)
_HEADING: Final = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_LINK: Final = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_USAGE_ERROR: Final = typer.BadParameter.__mro__[1]
_ENDS_A_COMMAND: Final = frozenset({"&&", "||", "|", ";", "&"})


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. `run` None = it is read only, else the exit code that its last command should have."""

    language: str
    body: str
    run: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a console block and the lines that it should print; none = nothing is promised."""

    command: str
    printed: tuple[str, ...]


def pages() -> tuple[Path, ...]:
    """Return every page that people read: those of the root, of docs/, of folders, and the decision records."""
    top = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
    rooms = [ROOT / "infra" / "README.md", ROOT / "feature_repo" / "README.md"]
    site = [
        path for path in (ROOT / "docs").rglob("*.md") if not {"_build", "adr"} & set(path.relative_to(ROOT / "docs").parts[:-1])
    ]
    return (*top, *rooms, *sorted(site), *sorted((ROOT / "infra" / "adr").glob("*.md")))


def name_of(page: Path) -> str:
    """Return a page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of code of a page; `:::` fences hold text and are looked into by their own blocks."""
    for match in _FENCE.finditer(text):
        if match["mark"].startswith(":"):
            yield from blocks(match["body"])
            continue
        language = match["language"].strip().removeprefix("{code-block}").strip()
        how = match["how"]
        code = None if how is None else int(re.sub(r"^: *exit *", "", how) or 0)
        lines = [line.removeprefix(match["indent"]) for line in match["body"].splitlines()]
        yield Block(language, "\n".join(lines), code)


def prose(text: str) -> str:
    """Return a page without its fenced blocks of code."""
    return _FENCE.sub(lambda match: match["body"] if match["mark"].startswith(":") else "", text)


def quoted(text: str) -> list[str]:
    """Return what stands between single backquotes outside of fenced blocks."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(text))


def shell_lines(text: str) -> Iterator[list[str]]:
    """Yield the words of every command in the blocks that a shell would read; `a && b` is two commands."""
    for block in blocks(text):
        if block.language in SHELLS:
            for line in _typed(block):
                yield from _commands(line)


def _typed(block: Block) -> Iterator[str]:
    if block.language == "console":
        yield from (step.command for step in steps(block))
    else:
        yield from (line.removeprefix("$ ") for line in block.body.replace("\\\n", " ").splitlines())


def _commands(line: str) -> Iterator[list[str]]:
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:  # a quotation that goes over several lines, or prose
        return
    command: list[str] = []
    for word in [*words, ";"]:
        if word in _ENDS_A_COMMAND:
            if command:
                yield command
            command = []
        elif command or not re.fullmatch(r"[A-Z][A-Z0-9_]*=.*", word):  # variables before a command are none of its words
            command.append(word)


def steps(block: Block) -> Iterator[Step]:
    """Yield the commands of a console block with what each prints."""
    command: str | None = None
    printed: list[str] = []
    for line in block.body.splitlines():
        if line.startswith("$ "):
            if command is not None:
                yield Step(command, tuple(printed))
            command, printed = line[2:], []
        elif command is not None and command.endswith("\\"):
            command = f"{command[:-1]}{line}" if not command.endswith("\\\\") else command
        elif command is not None:
            printed.append(line)
    if command is not None:
        yield Step(command, tuple(printed))


def aiops_commands(text: str) -> Iterator[list[str]]:
    """Yield every `aiops …` command of a page's blocks."""
    for words in shell_lines(text):
        name = words[0].rpartition("/")[2]
        if name == "aiops":
            yield ["aiops", *words[1:]]


@cache
def _root() -> Any:
    from orchestration.cli import app

    return get_command(app)


def check_command(words: list[str]) -> None:
    """Raise AssertionError unless a command can be given so: it exists, has all that it needs, and takes all that is given."""
    line = shlex.join(words)
    command, rest = _root(), _without_redirection(words[1:])
    given, rest = _parsed(command, rest, line)
    if given.get("version"):
        return
    while hasattr(command, "commands"):
        assert rest, f"{line}: no command"
        assert rest[0] in command.commands, f"{line}: no command {rest[0]!r}"
        command, rest = command.commands[rest[0]], rest[1:]
    if "--help" in rest:
        return
    given, extra = _parsed(command, rest, line)
    assert not extra, f"{line}: {extra} is too much"
    missing = [parameter.name for parameter in command.params if parameter.required and given.get(parameter.name) in (None, ())]
    assert not missing, f"{line}: lacks {missing}"


def check_mention(words: list[str]) -> None:
    """Raise AssertionError unless a command that a sentence names exists, and each of its options that is named, too."""
    line, command, value_follows = shlex.join(words), _root(), False
    for word in words[1:]:
        if word.startswith("-"):
            option = _options(command).get(word.partition("=")[0])
            assert option is not None, f"{line}: no option {word!r}"
            value_follows = not option.is_flag and "=" not in word
        elif hasattr(command, "commands") and not value_follows:
            assert word in command.commands, f"{line}: no command {word!r}"
            command = command.commands[word]
        else:
            value_follows = False


def _options(command: Any) -> dict[str, Any]:
    options = [
        parameter for parameter in command.get_params(command.context_class(command)) if parameter.param_type_name == "option"
    ]
    return {name: option for option in options for name in (*option.opts, *option.secondary_opts)}


def _parsed(command: Any, words: list[str], line: str) -> tuple[dict[str, Any], list[str]]:
    context = command.context_class(command, info_name="aiops")
    try:
        given, rest, _ = command.make_parser(context).parse_args(list(words))
    except _USAGE_ERROR as error:
        raise AssertionError(f"{line}: {error}") from error
    return given, rest


def _without_redirection(words: list[str]) -> list[str]:
    cut = next((number for number, word in enumerate(words) if re.match(r"\d?[<>]", word)), len(words))
    return words[:cut]


def links(text: str) -> list[str]:
    """Return the targets of all links of a page."""
    return _LINK.findall(re.sub(r"`[^`\n]*`", lambda span: span[0].replace("](", "] ("), prose(text)))


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as hosts of repositories make them."""
    names: list[str] = []
    for heading in _HEADING.findall(prose(text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        name = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        names.append(f"{name}-{names.count(name)}" if name in names else name)
    return set(names)


def dead_links(page: Path, text: str) -> list[str]:
    """Return the links of a page that lead to no file of the repository or to no heading in it."""
    return [link for link in links(text) if not _leads_somewhere(page, text, link)]


def _leads_somewhere(page: Path, text: str, link: str) -> bool:
    if re.match(r"[a-z]+:", link):
        return re.match(r"https?://[\w.-]+(?::\d+)?(?:/\S*)?$", link) is not None or link.startswith("mailto:")
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    if not target.exists():
        return False
    read = text if not path else target.read_text(encoding="utf-8") if target.is_file() else ""
    return not anchor or anchor in anchors(read)


def named_paths(text: str, rooms: Iterable[str]) -> list[str]:
    """Return the paths that begin with one of the folders of the repository: in backquotes, or as words of a command."""
    folders = frozenset(rooms)
    spans = (span.removesuffix("/") for span in quoted(text) if re.fullmatch(r"[\w.][\w./-]*", span))
    words = (word.rpartition("=")[2].removesuffix("/") for line in shell_lines(text) for word in line)
    paths = [word for word in words if re.fullmatch(r"[\w.][\w./-]*", word) and "/" in word]
    return [path for path in (*spans, *paths) if path.split("/")[0] in folders and ("/" in path or path in folders)]
