"""What is wrong with the parameters of a step before anything is reached: by the models that the actions go by."""

import difflib
from collections.abc import Collection, Iterator
from typing import Final

from pydantic import ValidationError

from aiops.automation.action import PlainMapping
from aiops.automation.runbook_text import Kinds, ParameterFault, ParameterRule
from serving.automation.actions.action_parameters import Parameters
from serving.automation.actions.catalog import KINDS

_MODELS: Final = {kind.kind: kind.parameters for kind in KINDS}


def kinds_of(names: Collection[str] = _MODELS.keys()) -> Kinds:
    """Return the kinds of these names with the rules of their parameters; default: all that there are."""
    return {name: _rule(_MODELS[name]) for name in names if name in _MODELS}


def _rule(model: type[Parameters]) -> ParameterRule:
    def faults(parameters: PlainMapping) -> Iterator[ParameterFault]:
        try:
            model.model_validate(dict(parameters))
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_context=False, include_input=False):
                yield _fault(model, tuple(problem["loc"]), problem["type"], problem["msg"])

    return faults


def _fault(model: type[Parameters], path: tuple[int | str, ...], kind: str, message: str) -> ParameterFault:
    names = sorted(model.model_fields)
    takes = f"it takes {', '.join(names) or 'none'}"
    if kind == "extra_forbidden":
        nearest = difflib.get_close_matches(str(path[-1]), names, 1)
        meant = f"; did you mean {nearest[0]}?" if nearest else ""
        return ParameterFault(path, f"no such parameter{meant}; {takes}", of_key=True)
    if kind == "missing":
        return ParameterFault(path, f"is missing; {takes}")
    return ParameterFault(path, message.removeprefix("Value error, "))
