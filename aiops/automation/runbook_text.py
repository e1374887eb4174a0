"""Runbooks as text: YAML to a runbook, with all that is wrong with a file said at once, by line and column; and back."""

import difflib
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
import yaml
from pydantic import ValidationError

from aiops.automation.action import Plain, PlainMapping
from aiops.automation.answer_texts import answer_faults
from aiops.automation.expressions import ExpressionError, condition
from aiops.automation.fact_names import FACTS_OF, FactType, Scope
from aiops.automation.marked_yaml import FaultyText, MarkedDocument, Path, TextFault
from aiops.automation.placeholders import SAMPLE, filled, placeholder_faults
from aiops.automation.runbook import AS_TEXT, Runbook
from aiops.errors import ConfigurationError, ContractError, legible

_PYTHON_TYPES: Final = {
    FactType.STRING: str,
    FactType.DOUBLE: float,
    FactType.INT: int,
    FactType.BOOL: bool,
    FactType.STRINGS: list,
}


@dataclass(frozen=True, slots=True)
class VersionedRunbook:
    """A runbook that may be used; `version` = hash of its content, `source` names the file."""

    runbook: Runbook
    version: str
    source: str = ""

    @property
    def name(self) -> str:
        """Return the runbook's name."""
        return self.runbook.runbook


@dataclass(frozen=True, slots=True)
class ParameterFault:
    """What is wrong with the parameters of a step, and where below `with`; `of_key` = the name itself, not its value."""

    path: Path
    message: str
    of_key: bool = False


ParameterRule = Callable[[PlainMapping], Iterable[ParameterFault]]
"""Says what is wrong with the parameters of a kind of action; placeholders are filled in with a name."""
Kinds = Mapping[str, ParameterRule]
"""The actions that there are, by name."""


class _TextAt(NamedTuple):
    path: Path
    value: str


class FaultyRunbook(ConfigurationError):
    """A text is no runbook; `faults` are all that is wrong with it, in order of their place."""

    def __init__(self, source: str, faults: Collection[TextFault]) -> None:
        """Say what is wrong, a line each."""
        self.source = source
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(f"{source}:{fault.line}:{fault.column}: {fault.message}" for fault in self.faults))


def read_runbook(text: str, source: str, kinds: Kinds | None = None) -> VersionedRunbook:
    """Return the runbook of a text; `kinds` = actions that there are, None = they and their parameters are not checked.

    Raises:
        FaultyRunbook: something is wrong with it.
    """
    try:
        document = MarkedDocument(text)
    except FaultyText as error:
        raise FaultyRunbook(source, error.faults) from error
    if not isinstance(document.data, Mapping):
        raise FaultyRunbook(source, [document.place((), "a runbook is a mapping that begins with `runbook: NAME`")])
    faults = [
        *document.faults,
        *_expression_faults(document),
        *_parameter_faults(document),
        *_answer_faults(document),
        *_test_faults(document),
        *(_kind_faults(document, kinds) if kinds is not None else ()),
    ]
    try:
        runbook = Runbook.model_validate_json(msgspec.json.encode(document.data), strict=True, context={AS_TEXT: True})
    except ValidationError as error:
        faults += _field_faults(document, error)
        raise FaultyRunbook(source, faults) from error
    if faults:
        raise FaultyRunbook(source, faults)
    return VersionedRunbook(runbook, version_of(runbook), source)


def version_of(runbook: Runbook) -> str:
    """Return 20 hexadecimal digits of what a runbook says: comments, order and style of the text do not count."""
    return hashlib.sha256(msgspec.json.encode(_plain(runbook), order="deterministic")).hexdigest()[:20]


def canonical_text(runbook: Runbook) -> str:
    """Return the one text of a runbook, defaults written out; reading it gives the same runbook and version."""
    return yaml.dump(_plain(runbook), Dumper=_CanonicalDumper, allow_unicode=True, width=1_000_000, default_flow_style=False)


class _CanonicalDumper(yaml.SafeDumper):
    """Texts stand in quotes, so that none of them is read as a number or a word."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _quoted(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style='"')


_CanonicalDumper.add_representer(str, _quoted)


def _plain(runbook: Runbook) -> dict[str, Any]:
    return runbook.model_dump(mode="json", by_alias=True, context={AS_TEXT: True})


def _expression_faults(document: MarkedDocument) -> Iterator[TextFault]:
    for path, value in _texts(document.data, ()):
        scope = _scope_of(path)
        if scope is None or not value.strip():
            continue
        try:
            condition(value, scope)
        except ExpressionError as error:
            for fault in error.faults:
                yield document.place_within(path, fault.line, fault.column, f"{_dotted(path)}: {fault.message}")


def _scope_of(path: Path) -> Scope | None:
    """Return what an expression at a path may name, None where there is none."""
    match path:
        case ("match",):
            return Scope.MATCH
        case ("needs", int(), "that"):
            return Scope.NEEDS
        case ("verify", "better" | "worse"):
            return Scope.VERIFY
        case _:
            return None


def _parameter_faults(document: MarkedDocument) -> Iterator[TextFault]:
    for path, value in _texts(document.data, ()):
        if len(path) > 3 and (path[0], path[2]) == ("do", "with"):
            for fault in placeholder_faults(value):
                line = value.count("\n", 0, fault.offset) + 1
                column = fault.offset - (value.rfind("\n", 0, fault.offset) + 1) + 1
                yield document.place_within(path, line, column, f"{_dotted(path)}: {fault.message}")


def _answer_faults(document: MarkedDocument) -> Iterator[TextFault]:
    steps = document.data.get("do") if isinstance(document.data, Mapping) else None
    for fault in answer_faults(steps):
        path: Path = ("do", *fault.path)
        yield document.place(path, f"{_dotted(path)}: {fault.message}")


def _kind_faults(document: MarkedDocument, kinds: Kinds) -> Iterator[TextFault]:
    for path, value in _texts(document.data, ()):
        match path:
            case ("do", int(number), "action"):
                rule = kinds.get(value)
                if rule is not None:
                    yield from _rule_faults(document, number, rule)
                    continue
                known = ", ".join(sorted(kinds)) or "none is set up"
                yield document.place(
                    path, f"{_dotted(path)} = {legible(value)!r}: no such action{_meant(value, kinds)}; known: {known}"
                )


def _rule_faults(document: MarkedDocument, number: int, rule: ParameterRule) -> Iterator[TextFault]:
    """Yield what an action says of the parameters of a step; nothing where their placeholders are faulty already."""
    assert isinstance(document.data, Mapping)
    steps = document.data["do"]
    step = steps[number] if isinstance(steps, list) else {}
    given = step.get("with", {}) if isinstance(step, Mapping) else {}
    try:
        parameters = filled(given, SAMPLE)
    except ContractError:
        return
    for fault in rule(parameters) if isinstance(parameters, Mapping) else ():
        path: Path = ("do", number, "with", *fault.path)
        yield document.place(path, f"{_dotted(path)}: {fault.message}", fault.of_key)


def _test_faults(document: MarkedDocument) -> Iterator[TextFault]:
    """Yield facts of tests that are none, or of another type than declared."""
    declared = {fact.name: fact.type for fact in FACTS_OF[Scope.NEEDS]}
    tests = document.data.get("tests") if isinstance(document.data, Mapping) else None
    for number, test in enumerate(tests if isinstance(tests, list) else ()):
        facts = test.get("facts") if isinstance(test, Mapping) else None
        for name, value in (facts if isinstance(facts, Mapping) else {}).items():
            path: Path = ("tests", number, "facts", name)
            if name not in declared:
                yield document.place(path, f"{name} is no fact{_meant(name, declared)}", of_key=True)
            elif value is not None and not _is_of(value, declared[name]):
                yield document.place(path, f"{name} = {legible(value)}: it must be of type {declared[name]}")


def _is_of(value: Plain, kind: FactType) -> bool:
    if kind == FactType.DOUBLE and isinstance(value, int):
        return not isinstance(value, bool)
    if kind == FactType.INT and isinstance(value, bool):
        return False
    texts_only = not isinstance(value, list) or all(isinstance(item, str) for item in value)
    return isinstance(value, _PYTHON_TYPES[kind]) and texts_only


def _field_faults(document: MarkedDocument, error: ValidationError) -> Iterator[TextFault]:
    """Yield what the form says; not that a list is too short because its items are faulty."""
    problems = error.errors(include_url=False, include_context=False)
    places = {problem["loc"][:length] for problem in problems for length in range(len(problem["loc"]))}
    yield from (_field_fault(document, problem) for problem in problems if problem["loc"] not in places)


def _field_fault(document: MarkedDocument, problem: Any) -> TextFault:
    """Return what the form says of a value, where it stands."""
    path: Path = tuple(problem["loc"])
    name, given = _dotted(path), problem.get("input")
    if problem["type"] == "extra_forbidden":
        return document.place(path, f"{name}: no such field; `aiops runbooks schema` prints all of them", of_key=True)
    if problem["type"] == "missing":
        return document.place(path[:-1], f"{name} is missing")
    hint = "; put it in quotes" if problem["type"] == "string_type" and isinstance(given, int | float) else ""
    value = repr(legible(given)) if isinstance(given, str) else legible(given)
    shown = "" if isinstance(given, Mapping | list) else f" = {value}"
    return document.place(path, f"{name}{shown}: {problem['msg'].removeprefix('Value error, ')}{hint}")


def _texts(value: Plain, path: Path) -> Iterator[_TextAt]:
    if isinstance(value, str):
        yield _TextAt(path, value)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(item, (*path, name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts(item, (*path, number))


def _dotted(path: Path) -> str:
    """Return a path as people write it.

    >>> _dotted(("do", 0, "with", "name"))
    'do[0].with.name'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _meant(name: str, known: Collection[str]) -> str:
    nearest = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {nearest[0]}?" if nearest else ""
