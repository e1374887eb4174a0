"""The commands `aiops bench …`: predictions on a corpus written to a file, with the fixed threshold and the speed printed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from orchestration.console import print_facts, print_json

CorpusPath = Annotated[Path, typer.Option("--path", help="folder of the corpus", exists=True, file_okay=False)]
Out = Annotated[Path, typer.Option("--out", help="file that the predictions are written to", dir_okay=False)]

bench = typer.Typer(help="Measure the suite on public corpora and on simulated seeds.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group to `app`."""
    app.add_typer(bench, name="bench")


def _show(title: str, facts: Mapping[str, object], as_json: bool) -> None:
    """Print the figures of one bench: a table, or one JSON object on stdout."""
    if as_json:
        print_json(dict(facts))
    else:
        print_facts(title, {name: str(value) for name, value in facts.items()})
