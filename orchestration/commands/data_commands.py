"""Commands about telemetry: ingest it into the lake, replay it through the broker, look at what was refused."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from aiops.errors import ConfigurationError
from orchestration.commands.options import AsJson, SourceName, SourcePath, SourceSet
from orchestration.console import print_facts, print_json, print_table, say, stage
from orchestration.workspace.iso_time import moment
from orchestration.workspace.source_choice import SourceChoice, remarks_of

rejected_app = typer.Typer(help="Rows that broke the contract: list them, drive them again after a fix.", no_args_is_help=True)
Start = Annotated[str | None, typer.Option("--start", help="ISO 8601, inclusive")]
End = Annotated[str | None, typer.Option("--end", help="ISO 8601, exclusive")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("ingest")(ingest)
    app.command("replay")(replay)
    app.command("detections")(detections)
    app.add_typer(rejected_app, name="rejected")


def ingest(
    source: SourceName,
    path: SourcePath = None,
    option: SourceSet = None,
    start: Start = None,
    end: End = None,
    as_json: AsJson = False,
) -> None:
    """Read a source into the lake, each point once: read = stored + already there + rejected; call graph, labels, changes too."""
    from orchestration.pipeline import ingest as pipeline
    from orchestration.workspace.home_lock import keep_for_good
    from orchestration.workspace.workspace import Workspace

    workspace = Workspace.open()
    telemetry = SourceChoice(source, path, tuple(option or ())).open()
    keep_for_good(workspace.settings.root)
    with stage(f"ingest from {source}"):
        pipeline.ingest_truth(workspace, telemetry)
        chunks = telemetry.batches(moment("--start", start), moment("--end", end))
        result = pipeline.ingest(workspace, telemetry.name, chunks, datetime.now(UTC), say)
        for text in remarks_of(telemetry):
            say(text)
    facts = {**asdict(result), "points_per_second": result.points_per_second}
    print_json(facts) if as_json else print_facts(f"Ingested from {source}: {result.sum}", facts)
    result.refuse_nothing_accepted()


def replay(
    source: SourceName,
    path: SourcePath = None,
    option: SourceSet = None,
    start: Start = None,
    end: End = None,
    as_json: AsJson = False,
) -> None:
    """Publish recorded telemetry to the broker, in event-time order, as fast as the consumer takes it."""
    from orchestration.pipeline.replay import replay_recorded
    from orchestration.workspace.current_settings import settings_in_force
    from orchestration.workspace.workspace import Workspace

    telemetry = SourceChoice(source, path, tuple(option or ())).open()
    begin, until = moment("--start", start), moment("--end", end)
    with stage(f"replay {source} through the broker"):
        result = replay_recorded(Workspace.open(settings_in_force()), telemetry, begin, until, say)
    print_json(result) if as_json else print_facts(f"Replayed from {source}", asdict(result))


def detections(
    limit: Annotated[int, typer.Option(min=1, help="newest detections shown")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="also what a model took back")] = False,
    as_json: AsJson = False,
) -> None:
    """List detections, newest first, with the id that `aiops verdict` takes and the reason in words."""
    from orchestration.pipeline.verdicts import newest_detections
    from orchestration.workspace.workspace import Workspace

    rows = newest_detections(Workspace.open(), limit, everything)
    if as_json:
        print_json(rows)
        return
    columns = ("timestamp", "detection_id", "service", "metric", "tier", "score", "reason")
    print_table(f"{len(rows)} detections", columns, [[row[name] for name in columns] for row in rows])


@rejected_app.command("list")
def list_rejected(
    reason: Annotated[str | None, typer.Option(help="only rows of this reason")] = None,
    limit: Annotated[int, typer.Option(min=1, help="newest rows shown")] = 20,
    as_json: AsJson = False,
) -> None:
    """List rejected rows, newest first, with the field, the value, the rule and the fix."""
    from orchestration.workspace.workspace import Workspace
    from serving.tables.rejected import RejectedFilter, RejectedStore

    rows = RejectedStore(Workspace.open().lake).list(RejectedFilter(reason=reason), limit).to_pylist()
    if as_json:
        print_json(rows)
        return
    columns = ("rejected_at", "reject_id", "source", "reason", "detail")
    print_table(f"{len(rows)} rejected rows", columns, [[row[name] for name in columns] for row in rows])


@rejected_app.command("redrive")
def redrive(
    reject_id: Annotated[list[str] | None, typer.Argument(help="ids to drive again")] = None,
    reason: Annotated[str | None, typer.Option(help="all rows of this reason")] = None,
    as_json: AsJson = False,
) -> None:
    """Validate rejected rows again (after a fix of the rule) and put those that pass into the lake, once."""
    from orchestration.pipeline.ingest import redrive_rejected
    from orchestration.workspace.workspace import Workspace
    from serving.tables.rejected import RejectedFilter

    if not reject_id and reason is None:
        raise ConfigurationError("rejected redrive: name ids or --reason; `aiops rejected list` shows both")
    chosen = RejectedFilter(reason=reason, ids=tuple(reject_id or ()))
    result = redrive_rejected(Workspace.open(), chosen, datetime.now(UTC))
    if reject_id and not result.tried:
        raise ConfigurationError(f"rejected redrive: no row has the id {', '.join(reject_id)}; `aiops rejected list` shows ids")
    print_json(result) if as_json else print_facts("Re-driven", asdict(result))
