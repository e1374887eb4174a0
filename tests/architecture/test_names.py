"""Names are the field's terms, a group of values has named fields, and tests read public attributes only."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.test_layers import ROOMS, sources, tree

EVERYDAY = frozenset({"told", "telling", "found", "heard", "usual", "felt", "doubt", "asking", "one"})
"""Words that say nothing about what a name holds."""
FIXED_TERMS = ("not_found", "NotFound")
"""Terms of the field, and of the libraries, that hold one of those words."""
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_everyday(name: str) -> bool:
    """Return whether one of a name's words is an everyday one.

    >>> is_everyday("told_us"), is_everyday("HeardAlert"), is_everyday("undone"), is_everyday("ModelNotFound")
    (True, True, False, False)
    """
    for term in FIXED_TERMS:
        name = name.replace(term, "")
    return not EVERYDAY.isdisjoint(re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower().split("_"))


def names_in(text: str) -> Iterator[str]:
    """Yield the names that a text gives to functions, classes, parameters and variables.

    Not those of tests, which are sentences, nor fields of classes: many of them are stored, and stay as they are.
    """
    classes = [node for node in ast.walk(tree(text)) if isinstance(node, ast.ClassDef)]
    fields = {id(field.target) for node in classes for field in node.body if isinstance(field, ast.AnnAssign)}
    for node in ast.walk(tree(text)):
        if id(node) in fields:
            continue
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and not node.name.startswith("test_"):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs) and node.name:
            yield node.name


def everyday_names(text: str) -> list[str]:
    return sorted({name for name in names_in(text) if is_everyday(name)})


def tuple_parameters(text: str) -> list[str]:
    """Return `function(parameter)` of every parameter that is a tuple of values by position; `*rows: tuple[…]` is a table."""
    parameters = []
    for node in ast.walk(tree(text)):
        if isinstance(node, FUNCTIONS):
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            parameters += [f"{node.name}({held.arg})" for held in arguments if _is_fixed_tuple(held.annotation)]
    return parameters


def _is_fixed_tuple(annotation: ast.expr | None) -> bool:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return _is_fixed_tuple(ast.parse(annotation.value, mode="eval").body)
    if isinstance(annotation, ast.BinOp):
        return _is_fixed_tuple(annotation.left) or _is_fixed_tuple(annotation.right)
    if not isinstance(annotation, ast.Subscript) or ast.unparse(annotation.value) != "tuple":
        return False
    parts = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    return ast.unparse(parts[-1]) != "..."


def private_reads(text: str) -> list[str]:
    """Return the private attributes of others that a text reads or sets."""
    reads = [node for node in ast.walk(tree(text)) if isinstance(node, ast.Attribute) and node.attr.startswith("_")]
    own = {"self", "cls"}
    return [
        ast.unparse(node)
        for node in reads
        if not node.attr.startswith("__") and not (isinstance(node.value, ast.Name) and node.value.id in own)
    ]


def by_path(*folders: str) -> list[tuple[str, str]]:
    files = list(sources(*folders))
    assert {Path(path).parts[0] for path, _ in files} == {Path(folder).parts[0] for folder in folders}
    return files


def test_names_say_what_they_hold() -> None:
    files = by_path(*ROOMS, "feature_repo", "tests")
    assert {path: names for path, text in files if (names := everyday_names(text))} == {}


def test_a_group_of_values_has_named_fields() -> None:
    files = by_path(*ROOMS, "feature_repo", "tests")
    assert {path: parameters for path, text in files if (parameters := tuple_parameters(text))} == {}


def test_tests_read_public_attributes() -> None:
    assert {path: reads for path, text in by_path("tests") if (reads := private_reads(text))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "found = 1",
        "def told(): ...",
        "class HeardAlert: ...",
        "def f(one): ...",
        "[doubt for doubt in rows]",
        "f(lambda one: one.name)",
        "try: ...\nexcept ValueError as usual: ...",
    ],
)
def test_an_everyday_name_is_seen(text: str) -> None:
    assert everyday_names(text)


def test_each_rule_can_be_broken() -> None:
    assert tuple_parameters("def f(a: tuple[int, str], b: 'tuple[int, int]', c: tuple[int, ...], *d: tuple[int, int]): ...") == [
        "f(a)",
        "f(b)",
    ]
    nested = (
        "def f(a: tuple[int, tuple[str, ...]], b: None | tuple[int, int], c: tuple[tuple[int, int], ...], d: 'A | None'): ..."
    )
    assert tuple_parameters(nested) == ["f(a)", "f(b)"]
    assert private_reads("self._a\nengine._arrays.size\nx.__class__") == ["engine._arrays"]
    assert everyday_names("def test_one_of_many_is_found(): ...\nclass ModelNotFound: ...\nanyone = 1") == []
