"""The call graph in the lake: writers in many processes lose nothing of each other's, readers see changes and the past."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiops.errors import ContractError
from aiops.topology.graph import Pair
from data_contracts.schemas.telemetry_schemas import EDGES
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.lake.opening import open_lake
from serving.tables.graph_store import GraphStore
from tests.testing.deadlines import within

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
import pyarrow as pa
from serving.tables.graph_store import GraphStore
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.lake.opening import open_lake
from serving.lake.port import Lake
store, name = GraphStore(open_lake(Path(sys.argv[1])).for_tenant(DEFAULT_TENANT)), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for number in range(12):
    seen = pa.table({"caller": [name], "callee": [f"{name}-{number}"], "weight": [1.0]})
    store.observe(seen, datetime(2026, 3, 1, 12, tzinfo=UTC), "traces")
"""


def seen(*pairs: Pair) -> pa.Table:
    return pa.table({"caller": [pair[0] for pair in pairs], "callee": [pair[1] for pair in pairs], "weight": [1.0] * len(pairs)})


def test_the_graph_is_read_as_it_is_and_as_it_was(home: Path) -> None:
    store = GraphStore(open_lake(home / "lake").for_tenant(DEFAULT_TENANT))
    assert store.version() == ""
    assert store.graph().calls() == ()
    store.replace_configured([("web", "cart")], NOON)
    first = store.version()
    store.observe(seen(("cart", "db"), ("web", "cart")), NOON, "traces")
    change = store.observe(seen(("cart", "cache")), NOON + timedelta(days=8), "traces")
    assert change.added == (("cart", "cache"),)
    assert change.ended == (("cart", "db"),)
    assert change.calls == 2
    assert store.version() != first != ""
    assert store.graph().calls() == (("cart", "cache"), ("web", "cart"))
    assert store.graph(NOON + timedelta(days=1)).calls() == (("cart", "db"), ("web", "cart"))
    assert store.graph(NOON - timedelta(days=1)).calls() == (("web", "cart"),)
    assert store.graph().origin_of("web", "cart") == "configuration"
    store.observe(seen(("db", "web")), NOON, "learned")
    assert store.graph().callees("db") == ()
    assert store.graph(learned=True).origin_of("db", "web") == "learned"


def test_a_change_that_changes_nothing_leaves_the_file(home: Path) -> None:
    store = GraphStore(open_lake(home / "lake").for_tenant(DEFAULT_TENANT))
    store.observe(seen(("a", "b")), NOON, "traces")
    version, kept = store.version(), store.history()
    assert store.observe(seen(("a", "b")), NOON, "traces").added == ()
    with pytest.raises(ContractError, match="origin 'gossip'"):
        store.observe(seen(("a", "c")), NOON, "gossip")
    assert store.version() == version
    assert store.history() is kept


def test_a_source_replaces_what_it_said_and_nothing_else(home: Path) -> None:
    store = GraphStore(open_lake(home / "lake").for_tenant(DEFAULT_TENANT))
    store.observe(seen(("a", "b")), NOON, "traces")
    for callee in ("c", "d"):
        row = {"caller": "a", "callee": callee, "valid_from": NOON}
        store.replace_source(pa.Table.from_pylist([row], schema=EDGES))
    assert store.graph().calls() == (("a", "b"), ("a", "d"))


def test_files_of_the_first_version_are_read_on(home: Path) -> None:
    folder = home / "lake" / "tenant=default" / "edges"
    folder.mkdir(parents=True)
    old = pa.schema([EDGES.field(name) for name in ("caller", "callee", "valid_from")])
    pq.write_table(pa.table({"caller": ["a"], "callee": ["b"], "valid_from": [NOON]}, schema=old), folder / "part-all.parquet")
    store = GraphStore(open_lake(home / "lake").for_tenant(DEFAULT_TENANT))
    assert store.graph().origin_of("a", "b") == "table"
    store.replace_configured([("b", "c")], NOON)
    assert store.graph().calls() == (("a", "b"), ("b", "c"))
    assert set(store.history()["origin"].to_pylist()) == {"table", "configuration"}


def test_writers_in_two_processes_lose_no_call(home: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(home / "lake")]
    writers = [subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in "xy"]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.communicate("go\n", timeout=within(60))
        assert writer.returncode == 0
    assert len(GraphStore(open_lake(home / "lake").for_tenant(DEFAULT_TENANT)).graph().calls()) == 24
