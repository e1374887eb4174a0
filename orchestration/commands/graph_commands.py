"""The commands `aiops graph …`: the call graph as it is and was, calls from tables and traces, learned calls."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops.errors import ConfigurationError
from orchestration.commands.options import AsJson, Encoding
from orchestration.console import print_facts, print_json, print_table, say, stage
from orchestration.workspace.iso_time import moment

if TYPE_CHECKING:
    from aiops.topology.graph_history import Interval
    from orchestration.workspace.workspace import Workspace
    from serving.ingest.pull.source_options import SpanColumns
    from serving.ingest.pull.truth_files import TruthTable
    from serving.tables.graph_store import GraphChange

graph_app = typer.Typer(help="Who calls whom, now or at a time; calls from tables, traces and telemetry.", no_args_is_help=True)
At = Annotated[str | None, typer.Option("--at", help="ISO 8601; as the graph was then")]
OfService = Annotated[str | None, typer.Option("--service", help="only calls of this service")]
RECORDED = ("configuration", "table")


def register(app: typer.Typer) -> None:
    """Add the group to `app`."""
    app.add_typer(graph_app, name="graph")


@graph_app.command("show")
def show(
    at: At = None,
    service: OfService = None,
    learned: Annotated[bool, typer.Option("--learned", help="with calls that were learned from telemetry")] = False,
    dot: Annotated[Path | None, typer.Option("--dot", help="write the graph for Graphviz into this file")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the call graph as a tree with origin, since when and weight of each call, and its cycles."""
    from aiops.topology.graph import ServiceGraph
    from aiops.topology.graph_history import calls_at
    from orchestration.commands.graph_text import cycles, tree_lines
    from orchestration.commands.graph_text import dot as dotted
    from orchestration.workspace.workspace import Workspace
    from serving.tables.graph_store import GraphStore

    history, when = GraphStore(Workspace.open().lake).history(), moment("--at", at)
    graph = ServiceGraph.from_edges(history, when, learned)
    intervals = {call.pair: call for call in calls_at(history, when, learned)}
    if service is not None and service not in graph.services:
        raise ConfigurationError(f"--service {service!r} has no call in the graph; `aiops graph show` lists services")
    if dot is not None:
        dot.write_text(dotted(graph, intervals), encoding="utf-8")
    circles = cycles(graph)
    if as_json:
        calls = [_plain(call) for call in intervals.values() if service is None or service in call.pair]
        print_json({"at": when, "services": graph.services, "calls": calls, "cycles": circles})
        return
    if not intervals:
        say("no calls are known; `aiops graph import` or a source with edges brings them")
    for line in tree_lines(graph, intervals, service):
        typer.echo(line)
    if service is not None and graph.callers(service):
        typer.echo(f"called by {', '.join(graph.callers(service))}")
    for circle in circles:
        typer.echo(f"in circles: {', '.join(circle)}")


@graph_app.command("import")
def import_graph(
    edges: Annotated[Path | None, typer.Option("--edges", help="CSV or Parquet: caller, callee[, valid_from, valid_to]")] = None,
    traces: Annotated[
        Path | None, typer.Option("--traces", help="spans: OTLP (.json, .jsonl, .pb), CSV or Parquet; a file or folder")
    ] = None,
    origin: Annotated[str, typer.Option(help="of --edges: configuration or table; the more trusted first")] = "configuration",
    at: Annotated[str | None, typer.Option("--at", help="ISO 8601; edges hold from then on, traces look up to then")] = None,
    columns: Annotated[str | None, typer.Option(help="of CSV spans: trace=,span=,parent=,service= (or pod=),time=,peer=")] = None,
    forget_after_h: Annotated[float, typer.Option(min=0.01, help="hours after which calls unseen in traces end")] = 168.0,
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Import calls: a table that holds from now on, or spans of traces, whose calls are counted.

    The stream reads the graph when it starts; the responder follows it.
    """
    from orchestration.pipeline import call_graph
    from orchestration.workspace.home_lock import keep_for_good
    from orchestration.workspace.workspace import Workspace

    if (edges is None) == (traces is None):
        raise ConfigurationError("graph import: give either --edges FILE or --traces FILE")
    workspace, when = Workspace.open(), moment("--at", at)
    if edges is not None:
        if origin not in RECORDED:
            raise ConfigurationError(f"--origin {origin!r}: a table of calls is one of {', '.join(RECORDED)}")
        read = _edges_of(edges, encoding)
        change = call_graph.import_edges(workspace, read.rows, origin, when or datetime.now(UTC))
        facts: dict[str, Any] = {"file": str(edges), "origin": origin, "rows_left_out": len(read.refused)}
    else:
        assert traces is not None
        request = call_graph.TracesImport(traces, _span_columns(columns), when, timedelta(hours=forget_after_h), encoding)
        with stage(f"calls among the spans of {traces}"):
            imported = call_graph.import_traces(workspace, request)
        change = imported.change
        facts = {"file": str(traces), "origin": "traces", "at": imported.at, "spans": asdict(imported.spans)}
    keep_for_good(workspace.settings.root)
    _note_running(workspace)
    _tell("Imported", facts, change, as_json)


def _span_columns(text: str | None) -> "SpanColumns":
    from serving.ingest.pull.source_options import SpanColumns

    return SpanColumns.parse(text) if text else SpanColumns()


def _edges_of(path: Path, encoding: str | None) -> "TruthTable":
    """Read a table of calls and say which rows of it are left out."""
    from serving.ingest.pull.csv_blocks import Dialect
    from serving.ingest.pull.file_bytes import checked_encoding
    from serving.ingest.pull.truth_files import read_edges, remarks_of

    read = read_edges(path, Dialect(encoding=None if encoding is None else checked_encoding(encoding)))
    for text in remarks_of(path, read.refused):
        say(text)
    return read


@graph_app.command("history")
def history(
    service: OfService = None,
    limit: Annotated[int, typer.Option(min=1, help="newest changes shown")] = 50,
    as_json: AsJson = False,
) -> None:
    """List when calls began and ended, as each origin says, newest first."""
    from aiops.topology.graph_history import intervals
    from orchestration.workspace.workspace import Workspace
    from serving.tables.graph_store import GraphStore

    rows = [row for row in intervals(GraphStore(Workspace.open().lake).history()) if service is None or service in row.pair]
    rows.sort(key=lambda row: (row.valid_to or row.valid_from, row.pair), reverse=True)
    if as_json:
        print_json([_plain(row) for row in rows[:limit]])
        return
    columns = ("caller", "callee", "origin", "valid_from", "valid_to", "seen_at", "weight")
    print_table(f"{len(rows)} stretches of calls", columns, [[getattr(row, name) for name in columns] for row in rows[:limit]])


@graph_app.command("learn")
def learn(
    hours: Annotated[float, typer.Option(min=0.5, help="of telemetry that is looked at")] = 24.0,
    end: Annotated[str | None, typer.Option("--end", help="ISO 8601; unset = the newest telemetry")] = None,
    false_share: Annotated[float, typer.Option(min=1e-6, max=0.5, help="of learned calls that may be wrong")] = 0.05,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show, write nothing")] = False,
    as_json: AsJson = False,
) -> None:
    """Learn calls where the graph is silent, from telemetry of which one foretells the other (Granger).

    They are marked as learned, and only root cause analysis goes by them.
    """
    from models.rca.granger import GrangerConfig
    from orchestration.pipeline import call_graph
    from orchestration.workspace.workspace import Workspace

    workspace = Workspace.open()
    config = GrangerConfig(false_discoveries=false_share)
    request = call_graph.Learning(hours, moment("--end", end), workspace.settings.telemetry.step_s, config)
    with stage("learn calls from telemetry"):
        learned = call_graph.learn(workspace, request, dry_run, say)
    if as_json:
        print_json(asdict(learned) | {"edges": [{**asdict(edge), "weight": edge.weight} for edge in learned.edges]})
        return
    rows = [(edge.caller, edge.callee, edge.weight, edge.lag_steps) for edge in learned.edges]
    print_table(f"{len(rows)} learned calls", ("caller", "callee", "how sure", "steps later"), rows)
    if learned.change is not None:
        print_facts(
            "The graph", {"new": len(learned.change.added), "ended": len(learned.change.ended), "calls": learned.change.calls}
        )


def _plain(call: "Interval") -> dict[str, Any]:
    return asdict(call)


def _tell(title: str, facts: dict[str, Any], change: "GraphChange", as_json: bool) -> None:
    if as_json:
        print_json(facts | asdict(change))
        return
    added, ended = (", ".join(f"{caller} → {callee}" for caller, callee in pairs) for pairs in (change.added, change.ended))
    facts = {
        name: ", ".join(f"{key} {n:,}" for key, n in fact.items()) if isinstance(fact, dict) else fact
        for name, fact in facts.items()
    }
    print_facts(title, facts | {"new": added or "none", "ended": ended or "none", "calls": change.calls})


def _note_running(workspace: "Workspace") -> None:
    from orchestration.workspace.current_settings import read_running

    if read_running(workspace.settings.root) is not None:
        say("`aiops up` runs: the responder follows the graph now, the stream when `aiops up` is started again")
