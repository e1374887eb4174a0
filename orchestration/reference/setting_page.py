"""The page of settings: every section, variable, default, rule and meaning."""

from collections.abc import Iterator
from types import UnionType
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from aiops.settings.tree import Settings
from orchestration.reference.markdown import code, page, table, text

_OPENING: Final = """\
Every setting is a variable of the environment, read once when a command or process starts, or a line of the settings file
`aiops.toml` that `aiops init` writes: `AIOPS_SERVING__HTTP_PORT` is `http_port` below `[serving]`, `AIOPS_HOME` is `home`.
The environment wins. The file is the one that `AIOPS_SETTINGS_FILE` names (empty: none), else `aiops.toml` in the current
folder or the nearest one above it; relative paths in it, and the default home, count from its folder. A name that is not
listed here is refused in both, so that a typing error is no silence. Secrets are never shown, not even in errors."""
_SIGNS: Final = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


def settings_page() -> str:
    """Return the page."""
    parts = [part for title, about, rows in _sections() for part in (f"## {title}", about, _table(rows))]
    return page("Settings", _OPENING, *parts)


def variables() -> frozenset[str]:
    """Return the names of all settings."""
    return frozenset(name for _, _, rows in _sections() for name, _ in rows)


def _sections() -> Iterator[tuple[str, str, list[tuple[str, FieldInfo]]]]:
    plain = [(_variable(name, "AIOPS_"), field) for name, field in Settings.model_fields.items() if _section(field) is None]
    yield "General", "", plain
    for name, field in Settings.model_fields.items():
        section = _section(field)
        if section is not None:
            rows = [(_variable(inner, f"AIOPS_{name.upper()}__"), setting) for inner, setting in section.model_fields.items()]
            yield name.capitalize(), text(section.__doc__ or ""), rows


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _variable(name: str, prefix: str) -> str:
    return "MLFLOW_TRACKING_URI" if name == "mlflow_tracking_uri" else f"{prefix}{name.upper()}"


def _table(rows: list[tuple[str, FieldInfo]]) -> str:
    return table(("variable", "default", "meaning"), ((code(name), _default(field), _meaning(field)) for name, field in rows))


def _default(field: FieldInfo) -> str:
    return "" if field.default in (None, PydanticUndefined) else code(str(field.default))


def _meaning(field: FieldInfo) -> str:
    rules = [rule for item in field.metadata if (rule := _rule(item))]
    rules = [*_choices(field.annotation), *rules, *(["secret"] if SecretStr in get_args(field.annotation) else [])]
    return text(field.description or "") + (f" ({', '.join(rules)})" if rules else "")


def _choices(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return ["one of " + ", ".join(code(str(choice)) for choice in get_args(kind))]
    if isinstance(kind, UnionType):
        return [choices for part in get_args(kind) for choices in _choices(part)]
    return []


def _rule(item: Any) -> str:
    return next((f"{sign} {getattr(item, name)}" for name, sign in _SIGNS if hasattr(item, name)), "")
