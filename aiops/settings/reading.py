"""The settings of this process; a mistake is named with its rule, and no value that may be a secret is shown."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, SecretStr, ValidationError

from aiops.errors import ConfigurationError
from aiops.settings.settings_file import section_of, settings_file
from aiops.settings.tree import Settings

_ADDRESSES = ("URL", "URI")
"""Settings whose value may hold a password."""


def read_settings() -> Settings:
    """Return the settings of the environment and the settings file.

    Raises:
        ConfigurationError: a name is unknown or its value does not fit; the message names it, the value and the rule.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        raise ConfigurationError("; ".join(_described(problem) for problem in problems)) from error


def _described(problem: Mapping[str, Any]) -> str:
    where = [str(part) for part in problem["loc"]]
    variable = where[0] if where[0].isupper() else "AIOPS_" + "__".join(where).upper()
    name = variable if _is_in_environment(variable) else _name_in_file(where, variable)
    unknown = problem["type"] == "extra_forbidden"
    shown = not unknown and is_shown(where) and not isinstance(problem.get("input"), Mapping)
    value = repr(problem.get("input")) if shown else "(not shown)"
    rule = "no such setting" if unknown else problem["msg"]
    return f"setting {name} = {value}: {rule}; `aiops init` writes a file with all of them"


def _is_in_environment(variable: str) -> bool:
    """Return whether the environment gives a setting, by its own name or with a whole section (as JSON)."""
    return not {variable, variable.partition("__")[0]}.isdisjoint(name.upper() for name in os.environ)


def _name_in_file(where: Sequence[str], variable: str) -> str:
    path = settings_file(os.environ)
    return variable if path is None else f"{'.'.join(where)} in {path}"


def is_shown(where: Sequence[str]) -> bool:
    """Return whether the value of a setting may be shown: it is known, no secret, no address, and no whole section.

    >>> is_shown(["serving", "http_port"]), is_shown(["serving", "jwt_key"]), is_shown(["broker", "url"]), is_shown(["tokn"])
    (True, False, False, False)
    """
    model: type[BaseModel] = Settings
    for part in where[:-1]:
        field = model.model_fields.get(part)
        inner = field.annotation if field is not None else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return False
        model = inner
    field = model.model_fields.get(where[-1])
    if field is None or section_of(field) is not None or where[-1].upper().endswith(_ADDRESSES):
        return False
    return SecretStr not in (field.annotation, *get_args(field.annotation))
