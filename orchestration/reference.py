"""The command and settings reference of README.md, made from the code; a test compares, `make docs` rewrites.

Run as `python -m orchestration.reference README.md`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from typer.main import get_command

from aiops.settings import Settings

BEGIN: Final = "<!-- reference: made by `make docs`, do not edit by hand -->"
END: Final = "<!-- end of reference -->"


def reference() -> str:
    """Return the reference as Markdown."""
    return "\n".join([BEGIN, "", "### Commands", "", *_commands(), "", "### Settings", "", *_settings(), "", END])


def rewritten(readme: str) -> str:
    """Return `readme` with its reference replaced by what the code says now.

    Raises:
        ValueError: the markers are missing.
    """
    if BEGIN not in readme or END not in readme:
        raise ValueError(f"README.md lacks the lines {BEGIN!r} and {END!r}")
    before, _, rest = readme.partition(BEGIN)
    return before + reference() + rest.partition(END)[2]


def _commands() -> Iterator[str]:
    from orchestration.cli import app

    yield "| command | what it does | options |"
    yield "|---|---|---|"
    for name, command in _walk(get_command(app), "aiops"):
        options = [_option(parameter) for parameter in command.params if parameter.name != "help"]
        yield f"| `{name}` | {(command.help or '').splitlines()[0]} | {'<br>'.join(options)} |"


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for child in command.commands.values():
            yield from _walk(child, f"{name} {child.name}")
    else:
        yield name, command


def _option(parameter: Any) -> str:
    text = getattr(parameter, "help", None) or ""
    if parameter.param_type_name != "option":
        name = (parameter.name or "").upper()
    else:
        name = "/".join([parameter.opts[0], *parameter.secondary_opts])
    return _cell(f"`{name}` {text}{_default(parameter)}")


def _default(parameter: Any) -> str:
    if parameter.required:
        return " (required)"
    if isinstance(parameter.default, bool) or parameter.default in (None, ""):
        return ""
    return f" (default {parameter.default})"


def _cell(text: str) -> str:
    """Return `text` fit for a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("<", "&lt;").strip()


def _settings() -> Iterator[str]:
    yield "| variable | default | meaning |"
    yield "|---|---|---|"
    for name, default, rule, meaning in _fields(Settings, "AIOPS_"):
        yield f"| `{name}` | {f'`{default}`' if default else ''} | {_cell(meaning)}{f' ({_cell(rule)})' if rule else ''} |"


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields(kind, f"{prefix}{name.upper()}__")
            continue
        variable = "MLFLOW_TRACKING_URI" if name == "mlflow_tracking_uri" else f"{prefix}{name.upper()}"
        default = "" if field.default in (None, PydanticUndefined) else str(field.default)
        rules = [str(rule) for item in field.metadata if (rule := _rule(item))]
        yield variable, default, ", ".join([*_choices(kind), *rules]), field.description or ""


def _choices(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return ["one of " + ", ".join(map(str, get_args(kind)))]
    if isinstance(kind, UnionType):
        return [text for part in get_args(kind) for text in _choices(part)]
    return []


def _rule(item: Any) -> str:
    for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
        if hasattr(item, name):
            return f"{sign} {getattr(item, name)}"
    return ""


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
