"""`aiops graph …` and `aiops changes …`: import, show, look back, learn; and how a graph looks in print."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from aiops.errors import AiopsError
from aiops.settings.tree import Settings
from aiops.simulator.simulation_config import SimulationConfig
from aiops.topology.graph import ServiceGraph
from aiops.topology.graph_history import calls_at, declared
from data_contracts.schemas.telemetry_schemas import EDGES
from data_contracts.series.tenant import DEFAULT_TENANT
from models.rca import granger
from models.rca.granger import GrangerConfig, LearnedEdge
from models.rca.grid import SeriesGrid
from orchestration.commands import change_commands, graph_commands
from orchestration.commands.graph_text import cycles, dot, tree_lines
from orchestration.pipeline import call_graph
from orchestration.pipeline.ingest import ingest, ingest_truth
from orchestration.workspace.workspace import Workspace
from serving.ingest.pull.simulate import SimulatedSource
from serving.lake.opening import open_lake
from serving.tables.changes import read_changes
from serving.tables.graph_store import GraphStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CIRCULAR = [("web", "cart"), ("web", "pay"), ("cart", "db"), ("pay", "cart"), ("x", "y"), ("y", "z"), ("z", "x"), ("z", "s")]


@pytest.fixture(autouse=True)
def private_home(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("AIOPS_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    return home


def run(*words: str) -> None:
    app = typer.Typer()
    graph_commands.register(app)
    change_commands.register(app)
    app(list(words), standalone_mode=False)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    run(*words, "--json")
    return json.loads(capsys.readouterr().out)


def test_calls_are_imported_shown_and_remembered(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("first.csv").write_text("caller,callee\nweb,cart\ncart,db\n")
    Path("second.csv").write_text("caller,callee\nweb,cart\ncart,cache\n")
    Path("spans.csv").write_text(
        "trace_id,span_id,parent_id,service,time\n"
        "1,a,,web,2026-03-01T12:00:00Z\n1,b,a,search,2026-03-01T12:00:01Z\n1,c,b,web,2026-03-01T12:00:02Z\n1,d,q,db,\n"
    )
    run("graph", "import", "--edges", "first.csv", "--at", "2026-02-01")
    capsys.readouterr()
    second = printed(capsys, "graph", "import", "--edges", "second.csv", "--at", "2026-03-01")
    assert (second["added"], second["ended"], second["calls"]) == ([["cart", "cache"]], [["cart", "db"]], 2)
    traced = printed(capsys, "graph", "import", "--traces", "spans.csv")
    assert (traced["spans"]["spans"], traced["spans"]["orphans"], traced["spans"]["calls"], traced["calls"]) == (4, 1, 2, 4)
    assert traced["at"] == "2026-03-01T12:00:02Z"
    now = printed(capsys, "graph", "show")
    assert [(row["caller"], row["callee"], row["origin"], row["weight"]) for row in now["calls"]] == [
        ("cart", "cache", "configuration", None),
        ("search", "web", "traces", 1.0),
        ("web", "cart", "configuration", None),
        ("web", "search", "traces", 1.0),
    ]
    assert now["cycles"] == [["search", "web"]]
    then = printed(capsys, "graph", "show", "--at", "2026-02-10", "--service", "db")
    assert [(row["caller"], row["callee"], row["valid_to"]) for row in then["calls"]] == [("cart", "db", "2026-03-01T00:00:00Z")]
    history = printed(capsys, "graph", "history", "--service", "cart", "--limit", "2")
    assert [(row["caller"], row["callee"]) for row in history] == [("cart", "db"), ("cart", "cache")]
    run("graph", "show", "--dot", "calls.dot")
    shown = capsys.readouterr().out
    assert "cart  (configuration, always)" in shown
    assert "search  (traces, since 2026-03-01 12:00, 1 calls seen)  ↻ a cycle" in shown
    assert '"web" -> "search"' in Path("calls.dot").read_text()
    run("graph", "history")
    assert "5 stretches of calls" in capsys.readouterr().out


def test_a_table_with_times_of_its_own_replaces_what_was_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("timed.csv").write_text("caller,callee,valid_from,valid_to\na,b,2026-01-01,2026-02-01\na,c,2026-02-01,\n")
    for _ in range(2):
        run("graph", "import", "--edges", "timed.csv", "--origin", "table")
    store = GraphStore(open_lake(Settings(home=home).lake_path).for_tenant(DEFAULT_TENANT))
    assert store.graph(datetime(2026, 1, 5, tzinfo=UTC)).calls() == (("a", "b"),)
    assert store.graph().calls() == (("a", "c"),)
    assert store.history().num_rows == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("graph import", "give either --edges FILE or --traces FILE"),
        ("graph import --edges absent.csv", "absent.csv: cannot be read"),
        ("graph import --edges calls.csv --origin learned", "--origin 'learned'"),
        (
            "graph import --edges backwards.csv",
            "valid_to 2026-01-01T00:00:00Z is not after valid_from 2026-01-02T00:00:00Z; correct one of them (row 1)",
        ),
        ("graph import --traces untimed.csv", "no call has a time; say when they were seen with --at"),
        ("graph import --traces calls.csv", "no column 'trace_id'"),
        ("graph show --service nobody", "--service 'nobody' has no call"),
        ("graph learn", "no telemetry in the lake"),
        ("changes import --path absent.csv", "absent.csv"),
        ("changes list --since never", "--since: 'never' is not an ISO 8601 time"),
    ],
)
def test_refusals_say_how_to_mend_it(words: str, says: str) -> None:
    Path("calls.csv").write_text("caller,callee\na,b\n")
    Path("untimed.csv").write_text("trace_id,span_id,parent_id,service\n1,a,,web\n1,b,a,cart\n")
    Path("backwards.csv").write_text("caller,callee,valid_from,valid_to\na,c,2026-01-02,2026-01-01\n")
    with pytest.raises(AiopsError) as refused:
        run(*words.split())
    assert says in str(refused.value)


@pytest.mark.parametrize("words", ["graph import --edges", "graph import --traces", "changes import --path"])
def test_a_file_of_bytes_is_refused_in_words(home: Path, words: str) -> None:
    file = home / "bytes.csv"
    file.write_bytes(b"a\n\x00\x1b[2J,\xff,\x07\n" + b"\x01,\x02" * 500)
    with pytest.raises(AiopsError) as refused:
        run(*words.split(), str(file))
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400 + len(str(file))


def test_changes_are_imported_once_and_listed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("releases.csv").write_text("at,service,what\n2026-03-01T11:00:00Z,cart,v2\n2150-01-01T00:00:00Z,cart,v3\n")
    for _ in range(2):
        assert printed(capsys, "changes", "import", "--path", "releases.csv")["changes"] == 2
    listed = printed(capsys, "changes", "list", "--service", "cart", "--since", "2026-01-01")
    assert [(row["service"], row["kind"], row["what"]) for row in listed] == [("cart", "deployment", "v2")], "v3 is not yet"
    assert len(printed(capsys, "changes", "list", "--until", "2160-01-01")) == 2
    assert len(read_changes(open_lake(Settings(home=home).lake_path).for_tenant(DEFAULT_TENANT), {"cart"}, None, None)) == 2
    run("changes", "list")
    assert "1 changes" in capsys.readouterr().out


def test_learned_calls_are_marked_and_dropped_when_no_look_finds_them_again(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    space, source = Workspace.open(), SimulatedSource(SimulationConfig(services=4, hours=3.0))
    ingest_truth(space, source)
    ingest(space, source.name, source.batches(), source.simulation.end, lambda _: None)
    known = space.graph()
    learned_edge = (LearnedEdge("x", known.services[0], 0.01, 1),)
    asked: list[tuple[int, ServiceGraph]] = []

    def edges(grid: SeriesGrid, graph: ServiceGraph, config: GrangerConfig | None = None) -> tuple[LearnedEdge, ...]:
        asked.append((grid.values.shape[0], graph))
        return learned_edge

    monkeypatch.setattr(call_graph, "granger_edges", edges)
    assert granger.granger_edges is not edges
    assert printed(capsys, "graph", "learn", "--hours", "2", "--dry-run")["change"] is None
    assert space.graph() == known
    learned = printed(capsys, "graph", "learn", "--hours", "2")
    assert (learned["change"]["added"], learned["services"]) == ([["x", known.services[0]]], 4)
    assert learned["edges"][0]["weight"] == pytest.approx(0.99)
    assert asked[-1] == (120, known)
    assert space.graph() == known, "features and partitions go without"
    store = GraphStore(space.lake)
    assert store.graph(learned=True).origin_of("x", known.services[0]) == "learned"
    run("graph", "show", "--learned")
    assert "(learned, since" in capsys.readouterr().out
    store.observe(EDGES.empty_table(), source.simulation.end + timedelta(days=40), "learned", call_graph.FORGET_LEARNED_AFTER)
    assert store.graph(learned=True) == known


def test_a_tree_shows_each_call_once_and_ends_in_circles() -> None:
    history = declared(EDGES.empty_table(), CIRCULAR, NOON, "table")
    seen, intervals = ServiceGraph.from_edges(history), {call.pair: call for call in calls_at(history)}
    lines = tree_lines(seen, intervals)
    assert [line.partition("  (")[0] for line in lines] == [
        *("web", "├─ cart", "│  └─ db", "└─ pay", "   └─ cart"),
        *("x", "└─ y", "   └─ z", "      ├─ s", "      └─ x"),
    ]
    assert lines[4].endswith("↑ shown above")
    assert lines[-1].endswith("↻ a cycle")
    assert sum("(" in line for line in lines) == len(CIRCULAR)
    assert tree_lines(seen, intervals, "pay")[0] == "pay"
    assert cycles(seen) == (("x", "y", "z"),)
    assert dot(seen, intervals).count("->") == len(CIRCULAR)
    assert '"a\\"b"' in dot(ServiceGraph.from_pairs([('a"b', "c")]), {})


def test_cycles_of_a_long_chain_need_no_recursion() -> None:
    names = [f"s{number:05d}" for number in range(5000)]
    chain = list(pairwise(names))
    assert cycles(ServiceGraph.from_pairs(chain)) == ()
    assert cycles(ServiceGraph.from_pairs([*chain, (names[-1], names[0])])) == (tuple(names),)
    assert len(tree_lines(ServiceGraph.from_pairs(chain), {})) == 5000
