"""Only the package of the lake touches its files: everybody else goes through the port."""

import ast

import pytest

from tests.architecture.test_layers import ROOMS, sources, tree

PACKAGE = "serving/lake/"
OPEN_TO_ALL = {"serving.lake.port", "serving.lake.opening", "serving.lake.lake_tables"}
PATHS_OF_FILES = {
    "orchestration/project/feature_definitions.py",
    "orchestration/workspace/feature_store.py",
    "feature_repo/definitions.py",
}
"""Feast opens Parquet by itself: what describes the tables to it may ask where they lie."""
MAY_NAME_THE_FOLDER = {"aiops/settings/tree.py", "orchestration/commands/migrate_commands.py"}


def around_the_port(text: str) -> list[str]:
    """Return the modules of the package that a text imports although they are not the port."""
    names: list[str] = []
    for node in ast.walk(tree(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module] + [f"{node.module}.{alias.name}" for alias in node.names if node.module == "serving.lake"]
    return [name for name in names if name.startswith("serving.lake.") and name not in OPEN_TO_ALL]


def paths_asked(text: str) -> list[str]:
    """Return where a text asks a lake for the folder of a table, or builds a path of the lake by itself."""
    ways = []
    for node in ast.walk(tree(text)):
        if isinstance(node, ast.Attribute) and node.attr == "lake_path":
            ways.append("lake_path")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and ast.unparse(node.right) == "'lake'":
            ways.append("/ 'lake'")
        if isinstance(node, ast.Attribute) and node.attr == "folder" and ast.unparse(node.value).endswith("lake"):
            ways.append("lake.folder")
    return ways


def test_nobody_imports_what_is_behind_the_port() -> None:
    rooms = [(path, text) for path, text in sources(*ROOMS, "feature_repo") if not path.startswith(PACKAGE)]
    assert len(rooms) > 100
    assert {path: modules for path, text in rooms if (modules := around_the_port(text))} == {}


def test_nobody_knows_where_files_of_the_lake_lie() -> None:
    allowed = PATHS_OF_FILES | MAY_NAME_THE_FOLDER
    ways_by_path = {path: paths_asked(text) for path, text in sources(*ROOMS, "feature_repo") if not path.startswith(PACKAGE)}
    assert {path: ways for path, ways in ways_by_path.items() if ways and path not in allowed} == {}


@pytest.mark.parametrize(
    "text",
    [
        "from serving.lake.parquet_lake import ParquetLake",
        "from serving.lake import parquet_writing",
        "def f():\n    import serving.lake.compaction",
    ],
)
def test_a_way_round_the_port_is_seen(text: str) -> None:
    assert around_the_port(text)


@pytest.mark.parametrize("text", ["x = home / 'lake' / 'edges'", "settings.lake_path.glob('*')", "self._lake.folder('edges')"])
def test_a_path_into_the_lake_is_seen(text: str) -> None:
    assert paths_asked(text)
