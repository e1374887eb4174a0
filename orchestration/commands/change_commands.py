"""The commands `aiops changes …`: what was deployed, configured or scaled, evidence for root causes."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from orchestration.commands.options import AsJson, Encoding
from orchestration.console import print_facts, print_json, print_table, say
from orchestration.workspace.iso_time import moment

changes_app = typer.Typer(help="Changes to services (deployments, configuration, scaling): import, list.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group to `app`."""
    app.add_typer(changes_app, name="changes")


@changes_app.command("import")
def import_changes(
    path: Annotated[Path, typer.Option("--path", help="CSV, Parquet or JSON: at, service, kind, what; or GitHub's events")],
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Import changes; those that are known already count once. A wrong one is left out with its reason, the others are taken."""
    from orchestration.workspace.home_lock import keep_for_good
    from orchestration.workspace.workspace import Workspace
    from serving.ingest.pull.change_payload import changes_of_file
    from serving.ingest.pull.csv_blocks import Dialect
    from serving.ingest.pull.file_bytes import checked_encoding
    from serving.ingest.pull.truth_files import remarks_of
    from serving.tables.changes import write_changes

    workspace = Workspace.open()
    read = changes_of_file(path, datetime.now(UTC), Dialect(encoding=None if encoding is None else checked_encoding(encoding)))
    events = read.events
    for text in remarks_of(path, read.refused):
        say(text)
    write_changes(workspace.lake, events)
    keep_for_good(workspace.settings.root)
    facts = {
        "file": str(path),
        "changes": len(events),
        "services": len({event.service for event in events}),
        "left_out": len(read.refused),
    }
    print_json(facts) if as_json else print_facts("Imported", facts)


@changes_app.command("list")
def list_changes(
    service: Annotated[list[str] | None, typer.Option(help="only of this service; repeatable")] = None,
    since: Annotated[str | None, typer.Option("--since", help="ISO 8601, inclusive")] = None,
    until: Annotated[str | None, typer.Option("--until", help="ISO 8601, inclusive; unset = now")] = None,
    limit: Annotated[int, typer.Option(min=1, help="newest changes shown")] = 50,
    as_json: AsJson = False,
) -> None:
    """List changes, newest first."""
    from orchestration.workspace.workspace import Workspace
    from serving.tables.changes import read_changes

    last = moment("--until", until) or datetime.now(UTC)
    events = read_changes(Workspace.open().lake, service, moment("--since", since), last)[::-1][:limit]
    if as_json:
        print_json([asdict(event) for event in events])
        return
    columns = ("at", "service", "kind", "what", "source", "change_id")
    print_table(f"{len(events)} changes", columns, [[getattr(event, name) for name in columns] for event in events])
