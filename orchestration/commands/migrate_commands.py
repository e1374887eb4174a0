"""Commands about what lies below home: bring it up to today's layout, remove what was doubled."""

import json
from typing import Final

import typer

from orchestration.commands.options import AsJson
from orchestration.console import print_facts, print_json, say, stage

LAYOUT: Final = 2
"""Of everything below home; version 0.1 had no number."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("migrate")(migrate)
    app.command("repair")(repair)


def migrate(as_json: AsJson = False) -> None:
    """Bring a home of version 0.1 up to today's: its lake becomes the default tenant's, its incident database gets new tables.

    Nothing may run in the home meanwhile. Interrupted, it goes on where it stopped; a second run finds nothing to do.
    """
    from aiops.settings.reading import read_settings
    from orchestration.workspace.home_lock import hold, keep_for_good
    from serving.lake.opening import migrate_lake

    settings = read_settings()
    with hold(settings.root, "aiops migrate"), stage("migrate the lake"):
        if any(settings.lake_path.glob("*")):
            keep_for_good(settings.root)
        moved = migrate_lake(settings, say)
        (settings.root / "home.json").write_text(json.dumps({"layout": LAYOUT}), encoding="utf-8")
    tables = {f"{table} stored": added.stored for table, added in moved.tables.items()}
    facts = {"files": moved.files, "rows": moved.rows, "stored twice before": moved.repeated, **tables}
    print_json(facts) if as_json else print_facts("Migrated the lake", facts)


def repair(as_json: AsJson = False) -> None:
    """Remove rows that lie in the tenant's lake twice and merge small files; what is read stays as it is."""
    from orchestration.workspace.workspace import Workspace

    with stage("repair the lake"):
        done = Workspace.open().lake.compact(least_files=2, settled_s=0)
    facts = {"files": done.files, "merged into": done.into, "repeated rows removed": done.repeated}
    print_json(facts) if as_json else print_facts("Repaired", facts)
