"""The settings file `aiops.toml`, which `aiops init` writes: where it is found, what it may hold, which paths in it mean what.

The environment wins over the file, the file over the defaults. Which file: the one that AIOPS_SETTINGS_FILE names (empty: none),
else `aiops.toml` in the current folder or the nearest folder above it. Relative paths in it count from its folder, and so does
the default home: every folder below shares one home.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from aiops.errors import ConfigurationError

FILE: Final = "aiops.toml"
VARIABLE: Final = "AIOPS_SETTINGS_FILE"


def settings_file(environment: Mapping[str, str]) -> Path | None:
    """Return the settings file of this process, None where there is none.

    Raises:
        ConfigurationError: the named file does not exist; or the one that is found is no file, or belongs to another user,
            who could give this one's processes any setting (a shared folder such as /tmp).
    """
    named = environment.get(VARIABLE)
    if named is not None:
        return _named(named)
    folder = Path.cwd()
    for path in (above / FILE for above in (folder, *folder.parents)):
        if path.is_symlink() or path.exists():
            if not path.is_file():
                raise ConfigurationError(
                    f"settings file {path}: it is no file that can be read; mend or remove it, or set {VARIABLE}"
                )
            if path.stat().st_uid not in {0, os.geteuid()}:
                raise ConfigurationError(
                    f"settings file {path}: it belongs to another user; if you trust it, set {VARIABLE}={path}"
                )
            return path
    return None


def _named(name: str) -> Path | None:
    if not name:
        return None
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        raise ConfigurationError(f"{VARIABLE} = {name!r}: no such file; name one, or leave it unset to use the nearest {FILE}")
    return path


def read_settings_file(path: Path, model: type[BaseModel]) -> dict[str, Any]:
    """Return what a settings file holds, by section and name, with absolute paths; `home` and `project` always.

    Raises:
        ConfigurationError: it cannot be read, is no TOML, or names what is no setting; the message names file and key.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"settings file {path}: it cannot be read ({error}); mend it, or remove it") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f'settings file {path}: {error}; texts stand in quotes: name = "value"') from error
    _refuse_unknown(path, model, given)
    values = _with_paths(path.parent, model, given)
    return {"home": path.parent / str(model.model_fields["home"].default), "project": path.parent, **values}


def _refuse_unknown(path: Path, model: type[BaseModel], given: Mapping[str, Any]) -> None:
    for name, known in _unknown(model, given, ""):
        nearest = difflib.get_close_matches(name, known, 1)
        meant = f"; did you mean {nearest[0]}?" if nearest else ""
        raise ConfigurationError(
            f"settings file {path}: {name}: no such setting in this release{meant}; remove it (`aiops init` writes all settings)"
        )


def _unknown(model: type[BaseModel], given: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the names in `given` that `model` does not have, each with those that it has."""
    for name, value in given.items():
        field = model.model_fields.get(name)
        if field is None:
            yield f"{prefix}{name}", [f"{prefix}{known}" for known in model.model_fields]
        elif isinstance(value, dict) and (section := section_of(field)) is not None:
            yield from _unknown(section, value, f"{prefix}{name}.")


def _with_paths(folder: Path, model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given` with relative paths as paths below `folder`."""
    values = dict(given)
    for name, value in given.items():
        field = model.model_fields[name]
        section = section_of(field)
        if section is not None and isinstance(value, dict):
            values[name] = _with_paths(folder, section, value)
        elif isinstance(value, str) and Path in (field.annotation, *get_args(field.annotation)):
            values[name] = folder / Path(value).expanduser()
    return values


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a section of settings, None of a single setting."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


class SettingsFileSource(PydanticBaseSettingsSource):
    """The settings file as a source of settings, below the environment."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return nothing: the file is read as a whole."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the file's values; of a setting with native names only where the environment gives none of them."""
        path = settings_file(os.environ)
        if path is None:
            return {}
        values = read_settings_file(path, self.settings_cls)
        return {name: value for name, value in values.items() if not self._given_natively(name)}

    def _given_natively(self, name: str) -> bool:
        choices = getattr(self.settings_cls.model_fields[name].validation_alias, "choices", ())
        return any(choice in self.current_state for choice in choices)
