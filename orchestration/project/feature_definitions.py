"""Load the feature definitions in force, and say where they are broken: users edit their copy."""

import importlib.util
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from aiops.errors import ConfigurationError
from data_contracts.schemas.feature_views import FEATURE_SERVICES
from serving.lake.port import Lake

_FIX: Final = "mend it, or write it anew with `aiops init --force`; without the folder the suite's own is used"
_PARTS: Final = ("project", "entities", "sources", "push_sources", "views", "services")


def load_definitions(path: Path, lake: Lake) -> Any:
    """Return what `define` of the file at `path` says over the tables of a tenant's lake.

    Raises:
        ConfigurationError: the file does not exist, cannot be run, or lacks what training needs; the message names file and line.
    """
    if not path.is_file():
        raise ConfigurationError(f"feature definitions: {path} does not exist; {_FIX}")
    spec = importlib.util.spec_from_file_location("aiops_feature_definitions", path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"feature definitions: {path} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        defined = module.define(lake.folder, lake.tenant)
    except Exception as error:  # whatever a user's file raises
        raise ConfigurationError(f"feature definitions {path}{_line(error, path)}: {_words(error)}; {_FIX}") from error
    _check(path, module, defined)
    return defined


def _line(error: Exception, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"


def _check(path: Path, module: ModuleType, defined: Any) -> None:
    lacking = [name for name in _PARTS if not hasattr(defined, name)]
    if lacking:
        raise ConfigurationError(f"feature definitions {path}: what define() returns lacks {', '.join(lacking)}; {_FIX}")
    absent = sorted({service.name for service in FEATURE_SERVICES} - set(defined.services))
    if absent:
        raise ConfigurationError(
            f"feature definitions {path}: no feature service {', '.join(absent)}, which training needs; {_FIX}"
        )
    alone = sorted(set(_at_module_level(module)) - set(_defined_names(defined)))
    if alone:
        raise ConfigurationError(
            f"feature definitions {path}: {', '.join(alone)} stand{'s' if len(alone) == 1 else ''} beside define();"
            " return them from define(), so that every tenant has them"
        )


def _at_module_level(module: ModuleType) -> Iterator[str]:
    """Yield kind and name of the objects that `feast apply` would collect."""
    from feast import Entity, FeatureService
    from feast.base_feature_view import BaseFeatureView
    from feast.data_source import DataSource

    for value in vars(module).values():
        if isinstance(value, Entity | FeatureService | BaseFeatureView | DataSource):
            yield f"{type(value).__name__} {value.name}"


def _defined_names(defined: Any) -> Iterator[str]:
    for part in _PARTS[1:]:
        for value in getattr(defined, part).values():
            yield f"{type(value).__name__} {value.name}"
