"""The page of actions: every kind that a runbook can name, its parameters, its risk and what it does."""

from inspect import cleandoc
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from orchestration.project.settings_template import bounds_of
from orchestration.reference.markdown import code, page, table, text
from serving.automation.actions.catalog import KINDS

_OPENING: Final = """\
What a step of a runbook can do: `action` names the kind, `with` holds its parameters. Each kind plans and probes by reading
only, acts where the target is still as planned, and refuses where somebody else has changed it. Secrets are references:
`env:NAME` of the automation process, or `file:/PATH` in a folder that the settings allow. Risk: low ones may earn to run
alone where they can be taken back, high ones take a person each time, destructive ones lose something and never run alone."""


def actions_page() -> str:
    """Return the page."""
    return page("Actions", _OPENING, *(part for kind in KINDS for part in _section(kind)))


def _section(kind: Any) -> tuple[str, ...]:
    parameters: type[BaseModel] = kind.parameters
    rows = ((code(name), _form(field), _default(field)) for name, field in parameters.model_fields.items())
    about = f"{text(cleandoc(kind.__doc__))} Risk: {kind.risk}."
    return f"## {code(kind.kind)}", about, text(cleandoc(parameters.__doc__ or "")), table(("parameter", "form", "default"), rows)


def _default(field: FieldInfo) -> str:
    return "needed" if field.is_required() else code(str(field.default)) if field.default is not PydanticUndefined else ""


def _form(field: FieldInfo) -> str:
    return ", ".join((code(_plain(field.annotation)), *bounds_of(field)))


def _plain(kind: Any) -> str:
    """Return the name of a type without what annotates it, and without the none that stands for a value left out.

    >>> _plain(dict[str, int] | None)
    'dict of str to int'
    """
    origin, parts = get_origin(kind), [_plain(part) for part in get_args(kind) if part is not NoneType]
    if origin is None:
        return str(getattr(kind, "__name__", kind))
    if origin is Annotated:
        return parts[0]
    if origin in (Literal, Union, UnionType):
        return " or ".join(parts)
    return f"{origin.__name__.lower()} of {' to '.join(part for part in parts if part != 'Ellipsis')}"
