"""The settings file that `aiops init` writes: every setting with its meaning and default, all commented, made from the code."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from aiops.settings.settings_file import section_of
from aiops.settings.tree import Settings

_SIGNS: Final = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
_HEAD: Final = """\
# Settings of the suite. A line that begins with #name is a setting with its default: take the # away and change the value.
# Environment variables win over this file: AIOPS_SERVING__HTTP_PORT is http_port in [serving], AIOPS_HOME is home.
# The `aiops` commands find this file in the current folder or the nearest one above it; AIOPS_SETTINGS_FILE names another.
# Relative paths count from this folder. Keep the file private where it holds secrets.
"""


def settings_template() -> str:
    """Return the text of a new `aiops.toml`; TOML in which nothing is set."""
    single = [(name, field) for name, field in Settings.model_fields.items() if section_of(field) is None]
    lines = [_HEAD, *(line for name, field in single for line in _setting(name, field))]
    for name, field in Settings.model_fields.items():
        section = section_of(field)
        if section is not None:
            lines += [f"# {_first_line(section)}", f"[{name}]", *_settings_of(section)]
    return "\n".join(lines)


def _first_line(section: type[BaseModel]) -> str:
    return (section.__doc__ or "").strip().splitlines()[0]


def _settings_of(section: type[BaseModel]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield from _setting(name, field)


def _setting(name: str, field: FieldInfo) -> Iterator[str]:
    choices = choices_of(field.annotation)
    rules = [*(["one of " + ", ".join(choices)] if choices else []), *bounds_of(field)]
    yield f"# {field.description}" + (f" ({', '.join(rules)})" if rules else "")
    yield f"#{name} = {_toml(field.default)}"
    yield ""


def _toml(default: object) -> str:
    """Return a default as TOML; a setting that is unset by default has no value in TOML and is shown as an empty text."""
    if default is None:
        return '""'
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, int | float):
        return repr(default)
    return json.dumps(str(default) if isinstance(default, Path) else default, ensure_ascii=False)


def choices_of(kind: Any) -> list[str]:
    """Return the values that a type allows where it names them, as text; none where it does not."""
    if get_origin(kind) is Literal:
        return [str(choice) for choice in get_args(kind)]
    if isinstance(kind, UnionType):
        return [choice for part in get_args(kind) for choice in choices_of(part)]
    return []


def bounds_of(field: FieldInfo) -> list[str]:
    """Return the bounds of a setting's value, such as `≥ 1`."""
    return [f"{sign} {getattr(rule, name)}" for rule in field.metadata for name, sign in _SIGNS if hasattr(rule, name)]
