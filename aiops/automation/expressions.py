"""Expressions of runbooks: CEL over declared facts; what is misnamed or of the wrong type is refused when it is compiled."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cel_expr_python import cel

from aiops.automation.fact_names import FACTS_OF, Facts, FactType, Scope
from aiops.errors import ContractError, legible

_FAULT: Final = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_UNDECLARED: Final = re.compile(r"undeclared reference to '([^']+)'")
_OVERLOAD: Final = re.compile(r"found no matching overload for '(\S+)' applied to '\((.*)\)'")
_ABSENT: Final = re.compile(r'No value with name "([^"]+)" found')
_NAME: Final = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class ExpressionFault:
    """What is wrong with an expression, where: line and column within its text, from 1."""

    message: str
    line: int = 1
    column: int = 1


class ExpressionError(ContractError):
    """An expression cannot be used; `faults` says all that is wrong with it."""

    def __init__(self, text: str, faults: tuple[ExpressionFault, ...]) -> None:
        """Say what is wrong with an expression."""
        where = "; ".join(f"line {fault.line}, column {fault.column}: {fault.message}" for fault in faults)
        super().__init__(f"expression {legible(text)!r}: {where}")
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether an expression holds; `unknown` says why nobody can tell, "" = it is known."""

    holds: bool
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled expression; one that is not known does not hold. Thread-safe."""

    text: str
    scope: Scope
    _compiled: cel.Expression

    @property
    def names(self) -> tuple[str, ...]:
        """Return the facts that its text names, in order of appearance."""
        known = {fact.name for fact in FACTS_OF[self.scope]}
        return tuple(dict.fromkeys(name for name in _NAME.findall(self.text) if name in known))

    def answer(self, facts: Facts) -> Answer:
        """Return whether it holds for facts; those that are absent are unknown."""
        data = {name: list(value) if isinstance(value, tuple) else value for name, value in facts.items()}
        try:
            outcome = self._compiled.eval(data=data)
        except RuntimeError as error:  # the library's own bound of steps
            return Answer(False, f"it cannot be evaluated: {legible(error)}")
        if outcome.type() == cel.Type.BOOL:
            return Answer(bool(outcome.value()))
        reason = str(outcome.value())
        absent = _ABSENT.search(reason)
        return Answer(False, f"{absent[1]} is not known" if absent else f"it cannot be evaluated: {legible(reason)}")


@lru_cache(maxsize=1024)
def condition(text: str, scope: Scope) -> Condition:
    """Return a compiled expression.

    Raises:
        ExpressionError: it is no CEL, names what is not declared, compares what cannot be, or is neither true nor false.
    """
    try:
        compiled = _environment(scope).compile(text)
    except RuntimeError as error:
        raise ExpressionError(text, tuple(_faults(str(error), text, scope))) from error
    if compiled.return_type() != cel.Type.BOOL:
        kind = compiled.return_type().name().lower()
        raise ExpressionError(text, (ExpressionFault(f"it is of type {kind}; it must be true or false, such as a comparison"),))
    return Condition(text, scope, compiled)


@lru_cache(maxsize=len(Scope))
def _environment(scope: Scope) -> cel.Env:
    types = {
        FactType.STRING: cel.Type.STRING,
        FactType.DOUBLE: cel.Type.DOUBLE,
        FactType.INT: cel.Type.INT,
        FactType.BOOL: cel.Type.BOOL,
        FactType.STRINGS: cel.Type.List(cel.Type.STRING),
    }
    return cel.NewEnv(variables={fact.name: types[fact.type] for fact in FACTS_OF[scope]})


def _faults(report: str, text: str, scope: Scope) -> Iterator[ExpressionFault]:
    """Yield what the library says, each fault once, in the words of runbooks."""
    faults = dict.fromkeys(_FAULT.findall(report))
    for line, column, message in faults:
        at = ExpressionFault(_in_words(message.strip(), scope), max(1, int(line)), max(1, int(column)))
        yield _at_name(at, message, text)
    if not faults:
        yield ExpressionFault(legible(report))


def _in_words(message: str, scope: Scope) -> str:
    undeclared = _UNDECLARED.search(message)
    if undeclared:
        return _unknown_name(undeclared[1], scope)
    overload = _OVERLOAD.search(message)
    if overload:
        return f"{overload[1].strip('_')} cannot be applied to ({overload[2]}){_number_hint(overload[2])}"
    return legible(message.removesuffix(" [INVALID_ARGUMENT]"))


def _unknown_name(name: str, scope: Scope) -> str:
    known = [fact.name for fact in FACTS_OF[scope]]
    elsewhere = [other for other, facts in FACTS_OF.items() if any(fact.name == name for fact in facts)]
    if elsewhere:
        return f"{name} may not be named in {scope}, only in {', '.join(elsewhere)}"
    nearest = difflib.get_close_matches(name, known, 1)
    meant = f"did you mean {nearest[0]}?" if nearest else "`aiops runbooks schema --facts` lists them"
    return f"{name} is no fact that {scope} may name; {meant}"


def _number_hint(types: str) -> str:
    kinds = sorted(types.replace(" ", "").split(","))
    if kinds == ["double", "int"]:
        return ": a double is compared with 1.0, not with 1, and an int with 1, not with 1.0"
    return ": both sides must be of one type"


def _at_name(fault: ExpressionFault, message: str, text: str) -> ExpressionFault:
    """Return the fault at the beginning of the name that it is about: the library points to its last dot."""
    undeclared = _UNDECLARED.search(message)
    lines = text.split("\n")
    if undeclared is None or fault.line > len(lines):
        return fault
    begin = fault.column - 1 - max(0, undeclared[1].rfind("."))
    fits = begin >= 0 and lines[fault.line - 1].startswith(undeclared[1], begin)
    return ExpressionFault(fault.message, fault.line, begin + 1) if fits else fault
