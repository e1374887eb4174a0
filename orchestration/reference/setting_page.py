"""The page of settings: every section, variable, default, rule and meaning."""

from collections.abc import Iterator
from typing import Final, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from aiops.settings.settings_file import section_of
from aiops.settings.tree import Settings
from orchestration.project.settings_template import bounds_of, choices_of
from orchestration.reference.markdown import code, page, table, text

_OPENING: Final = """\
Every setting is a variable of the environment, read once when a command or process starts, or a line of the settings file
`aiops.toml` that `aiops init` writes: `AIOPS_SERVING__HTTP_PORT` is `http_port` below `[serving]`, `AIOPS_HOME` is `home`.
The environment wins. The file is the one that `AIOPS_SETTINGS_FILE` names (empty: none), else `aiops.toml` in the current
folder or the nearest one above it; relative paths in it, and the default home, count from its folder. A name that is not
listed here is refused in both, so that a typing error is no silence. Secrets are never shown, not even in errors."""


def settings_page() -> str:
    """Return the page."""
    parts = [part for title, about, rows in _sections() for part in (f"## {title}", about, _table(rows))]
    return page("Settings", _OPENING, *parts)


def variables() -> frozenset[str]:
    """Return the names of all settings."""
    return frozenset(name for _, _, rows in _sections() for name, _ in rows)


def _sections() -> Iterator[tuple[str, str, list[tuple[str, FieldInfo]]]]:
    plain = [(_variable(name, "AIOPS_"), field) for name, field in Settings.model_fields.items() if section_of(field) is None]
    yield "General", "", plain
    for name, field in Settings.model_fields.items():
        section = section_of(field)
        if section is not None:
            rows = [(_variable(inner, f"AIOPS_{name.upper()}__"), setting) for inner, setting in section.model_fields.items()]
            yield name.capitalize(), text(section.__doc__ or ""), rows


def _variable(name: str, prefix: str) -> str:
    return "MLFLOW_TRACKING_URI" if name == "mlflow_tracking_uri" else f"{prefix}{name.upper()}"


def _table(rows: list[tuple[str, FieldInfo]]) -> str:
    return table(("variable", "default", "meaning"), ((code(name), _default(field), _meaning(field)) for name, field in rows))


def _default(field: FieldInfo) -> str:
    return "" if field.default in (None, PydanticUndefined) else code(str(field.default))


def _meaning(field: FieldInfo) -> str:
    choices = [code(choice) for choice in choices_of(field.annotation)]
    secret = ["secret"] if SecretStr in get_args(field.annotation) else []
    rules = [*(["one of " + ", ".join(choices)] if choices else []), *bounds_of(field), *secret]
    return text(field.description or "") + (f" ({', '.join(rules)})" if rules else "")
