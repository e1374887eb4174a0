"""The page of the command line: every command, its arguments, options and exit codes."""

import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

from aiops import errors
from orchestration.cli import INTERRUPTED, app
from orchestration.reference.markdown import code, items, link, page, slug, table, text

_OPENING: Final = """\
Options of `aiops` itself stand before the command: `aiops --tenant acme incidents list`. `--help` explains each command."""

_EXIT_CODES: Final = """\
Each code with a command that may end with it, and its causes. A message on stderr names what is wrong and what to do."""
_CAUSES: Final[dict[int, tuple[str, ...]]] = {
    0: ("Done.",),
    1: ("Unexpected failure.", "A file or folder is not there or may not be written, or a disk is full; the message names it."),
    2: ("Wrong usage: no such command or option, or a value that it does not take.",),
    4: ("What was named does not exist or does not allow it, such as an unknown incident, or one that is resolved already.",),
    5: ("`aiops incidents audit --verify` found that the audit log is not as it was written.",),
    9: ("`aiops status` found a process that does not answer, or something that waits too long.",),
    INTERRUPTED: ("Interrupted with Ctrl-C.",),
}
"""Causes that are no error class."""
TYPICAL: Final[dict[int, str]] = {
    0: "aiops models",
    1: "aiops init /project",
    2: "aiops ingest --source csv --path no-such-file.csv",
    3: "aiops train",
    4: "aiops incidents show no-such-id",
    5: "aiops incidents audit --verify",
    6: "aiops promote no-such-model",
    7: "aiops promote service-ensemble",
    8: "aiops up",
    9: "aiops status",
    10: "aiops replay --source csv --path telemetry.csv",
    INTERRUPTED: "aiops up",
}
"""A command for each code that may end with it."""


def commands_page() -> str:
    """Return the page."""
    root = get_command(app)
    commands = list(walk(root, "aiops"))
    contents = items(link(code(name), f"#{slug(name)}") + f": {_first_line(command)}" for name, command in commands)
    sections = (part for name, command in commands for part in _section(name, command))
    return page("Commands", _opening(root), contents, *sections, "## Exit codes", _EXIT_CODES, _exit_codes())


def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield every command that is no group with its whole name."""
    if hasattr(command, "commands"):
        for child in command.commands.values():
            yield from walk(child, f"{name} {child.name}")
    else:
        yield name, command


def _opening(root: Any) -> str:
    return f"{_OPENING}\n\n{_parameters(root.params)}"


def _section(name: str, command: Any) -> Iterator[str]:
    yield f"## {name}"
    yield text(inspect.cleandoc(command.help or ""))
    arguments = " ".join(_argument(parameter) for parameter in command.params if parameter.param_type_name == "argument")
    yield f"Usage: {code(f'{name} {arguments}'.strip())}" if arguments else ""
    yield _parameters(command.params)


def _argument(parameter: Any) -> str:
    """Return an argument as a usage line shows it: `[NAME]` may be left out, `NAME…` may be several."""
    name = (parameter.name or "").upper() + ("…" if parameter.nargs != 1 else "")
    return name if parameter.required else f"[{name}]"


def _parameters(parameters: Iterable[Any]) -> str:
    shown = [parameter for parameter in parameters if parameter.name not in {"help", "install_completion", "show_completion"}]
    return table(("option", "meaning", "default"), (_parameter(parameter) for parameter in shown))


def _parameter(parameter: Any) -> tuple[str, str, str]:
    name = (parameter.name or "").upper()
    if parameter.param_type_name == "option":
        name = "/".join([*parameter.opts, *parameter.secondary_opts])
    meaning = text(getattr(parameter, "help", None) or "")
    again = parameter.multiple and "repeat" not in meaning
    return code(name), meaning + (" (may be given several times)" if again else ""), _default(parameter)


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.default, bool) or parameter.default in (None, "", (), []) or not _is_plain(parameter.default):
        return ""
    return code(str(parameter.default))


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | Path)


def _first_line(command: Any) -> str:
    return text((command.help or "").splitlines()[0])


def _exit_codes() -> str:
    causes: dict[int, list[str]] = {number: list(words) for number, words in _CAUSES.items()}
    kinds = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.AiopsError)}
    for kind in sorted(kinds - {errors.AiopsError}, key=lambda kind: kind.__name__):
        causes.setdefault(kind.exit_code, []).append(" ".join(inspect.cleandoc(kind.__doc__ or "").split()))
    return "\n".join(_exit_code(number, words) for number, words in sorted(causes.items()))


def _exit_code(number: int, causes: list[str]) -> str:
    """Return one code as an item: a typical command, and its causes below it."""
    head = f"- **{number}**, for example {code(TYPICAL[number])}:"
    return "\n".join([head, *(f"  - {text(cause)}" for cause in causes)])
