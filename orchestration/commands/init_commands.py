"""The command that writes a project: what people edit, beside their own files."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.commands.options import AsJson
from orchestration.console import print_json, print_table, say


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("init")(init)


def init(
    folder: Annotated[Path, typer.Argument(help="folder of the project; made where it is missing")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="overwrite files that exist; changes in them are lost")] = False,
    as_json: AsJson = False,
) -> None:
    """Write what people edit into a folder: feature repository, Dagster's files, settings file; nothing is overwritten."""
    from orchestration.project.writing import write_project

    written = write_project(folder.expanduser().absolute(), force)
    if as_json:
        print_json({"folder": written.folder, "files": list(written.files)})
        return
    print_table(f"Written to {written.folder}", ("file",), [(name,) for name in written.files])
    say("commands in this folder and below it use these files; `dagster dev` works here, `feast apply` in feature_repo")
