"""The command `aiops bench act`."""

from typing import Annotated

import typer

from orchestration.commands.options import AsJson
from orchestration.console import print_facts, print_json, print_table, say


def register(bench: typer.Typer) -> None:
    """Add the command to the group of benches."""
    bench.command("act")(act)


def act(
    seeds: Annotated[int, typer.Option("--seeds", help="simulated seeds that are scored", min=1)] = 40,
    first_seed: Annotated[int, typer.Option("--first-seed", help="the first of them", min=0)] = 4001,
    as_json: AsJson = False,
) -> None:
    """Act on simulated incidents with the library's runbooks, approved after two minutes, beside doing nothing."""
    from dataclasses import asdict

    from orchestration.bench.simulated.act import ActConfig, run

    facts = asdict(run(ActConfig(seeds, first_seed), say))
    if as_json:
        print_json(facts)
        return
    kinds = facts.pop("kinds")
    print_table("By kind", tuple(kinds[0]), [tuple(kind.values()) for kind in kinds])
    print_facts("Acting on simulated incidents", {name: str(value) for name, value in facts.items()})
