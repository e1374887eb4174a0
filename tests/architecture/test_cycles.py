"""No cycle of files: what a module imports, at its top, inside a function or for type checkers only, never leads back to it."""

import ast
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.architecture.test_layers import sources, tree


def module_of(path: str) -> str:
    """Return the dotted name of a file.

    >>> module_of("aiops/features/engine.py"), module_of("aiops/features/__init__.py")
    ('aiops.features.engine', 'aiops.features')
    """
    return ".".join(Path(path).with_suffix("").parts).removesuffix(".__init__")


def imports_of(text: str, modules: Iterable[str]) -> set[str]:
    """Return those of `modules` that a text imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names & set(modules)


def cycle_of(files: Iterable[tuple[str, str]]) -> list[str]:
    """Return the modules along one cycle, the first again at the end; none where there is no cycle."""
    texts = {module_of(path): text for path, text in files}
    graph = {name: imports_of(text, texts) - {name} for name, text in texts.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_file_imports_itself_by_way_of_others() -> None:
    files = list(sources())
    assert len(files) > 300
    assert cycle_of(files) == []


@pytest.mark.parametrize(
    "back",
    [
        "import aiops.a",
        "from aiops import a",
        "from aiops.a import name",
        "def f():\n    from aiops.a import name",
        "if TYPE_CHECKING:\n    from aiops.a import name",
    ],
)
def test_every_way_back_is_seen(back: str) -> None:
    cycle = cycle_of(
        [("aiops/a.py", "from aiops.b import x"), ("aiops/b.py", "import aiops.inner.c"), ("aiops/inner/c.py", back)]
    )
    assert sorted(set(cycle)) == ["aiops.a", "aiops.b", "aiops.inner.c"]


def test_a_package_and_what_lies_in_it_are_two_modules() -> None:
    assert cycle_of([("aiops/__init__.py", ""), ("aiops/a.py", "from aiops import b"), ("aiops/b.py", "")]) == []
