"""The command `aiops bench units`: detection on units of many metrics, beside two trivial rules."""

import typer

from orchestration.commands.options import AsJson, CorpusPath, Out
from orchestration.console import print_facts, print_json, print_table, say


def register(bench: typer.Typer) -> None:
    """Add the command to the group `bench`."""
    bench.command("units")(units)


def units(path: CorpusPath, out: Out, as_json: AsJson = False) -> None:
    """Score every row of multivariate units, whatever their metrics are called, at one threshold for all."""
    from dataclasses import asdict

    from orchestration.bench.corpora.units import run

    facts = asdict(run(path, out, say))
    if as_json:
        print_json(facts)
        return
    for group in facts.pop("sets"):
        rules = group.pop("rules")
        title = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in group.items() if name != "name")
        print_table(f"{group['name']}: {title}", tuple(rules[0]), [tuple(rule.values()) for rule in rules])
    print_facts("Units scored, each fitted on its own training part", facts)
