"""The command `aiops bench rca-requests`: root causes of simulated alarms with log lines and spans, by kind of evidence."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.commands.options import AsJson
from orchestration.console import print_facts, print_json, print_table, say


def register(bench: typer.Typer) -> None:
    """Add the command to the group `bench`."""
    bench.command("rca-requests")(rca_requests)


def rca_requests(
    seeds: Annotated[int, typer.Option("--seeds", help="simulated seeds that are scored", min=1)] = 4,
    first_seed: Annotated[int, typer.Option("--first-seed", help="the first of them; none may be a fit seed, 1 to 3")] = 1001,
    refit: Annotated[
        bool, typer.Option("--refit", help="fit the weights of request evidence on the fit seeds, and score those")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="file that the alarms are written to, a JSON object a line")] = None,
    as_json: AsJson = False,
) -> None:
    """Rank root causes of simulated alarms with log lines and spans, also with each kind of evidence switched off."""
    from dataclasses import asdict

    from orchestration.bench.simulated.rca_requests import FIT_SEEDS, run
    from orchestration.bench.simulated.unseen_seeds import UnseenSeeds

    facts = asdict(run(UnseenSeeds(FIT_SEEDS, seeds, first_seed, refit), out, say))
    if as_json:
        print_json(facts)
        return
    for name, title in (("evidence", "Root causes of simulated alarms with requests"), ("kinds", "By kind")):
        rows = facts.pop(name)
        print_table(title, tuple(rows[0]), [tuple(row.values()) for row in rows])
    print_facts("What was scored, and the weights", facts)
