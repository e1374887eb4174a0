"""The commands `aiops bench breach` and `forecast`: limits that are exceeded, the next day of series, how often bounds hold."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.commands.options import AsJson, CorpusPath, Out
from orchestration.console import print_facts, print_json, print_table, say

Corpus = Annotated[
    Path | None,
    typer.Option("--path", help="checkout of NAB, or folder of units SET/UNIT; without it, simulated series", file_okay=False),
]


def register(bench: typer.Typer) -> None:
    """Add the commands to the group `bench`."""
    bench.command("breach")(breach)
    bench.command("forecast")(forecast)


def forecast(
    path: Corpus = None,
    series: Annotated[int, typer.Option("--series", help="at most so many series of a set", min=1)] = 24,
    as_json: AsJson = False,
) -> None:
    """Forecast the next day of series by the chosen model, the seasonal profile, a flat line and the day before."""
    from dataclasses import asdict

    from orchestration.bench.corpora.forecast_days import BenchConfig, run

    facts = asdict(run(path, BenchConfig(series), say))
    if as_json:
        print_json(facts)
        return
    for group in facts.pop("sets"):
        rules = group["rules"]
        chosen = ", ".join(f"{model} {count}" for model, count in group["chosen"].items())
        print_table(f"{group['name']}, chosen: {chosen}", tuple(rules[0]), [tuple(rule.values()) for rule in rules])
    print_facts("Days forecast", facts)


def breach(path: CorpusPath, out: Out, as_json: AsJson = False) -> None:
    """Forecast on the real series of NAB whether each exceeds the 98th percentile of its first 60 % within 12 rows."""
    from dataclasses import asdict

    from orchestration.bench.simulated.breach import run

    facts = asdict(run(path, out))
    rankings = facts["rankings"] if as_json else facts.pop("rankings")
    if as_json:
        print_json(facts)
        return
    print_facts("Breaches of NAB's real series", {name: str(value) for name, value in facts.items()})
    rows = [(name.replace("_", " "), ranking["pr_auc"], ranking["precision_at_half"]) for name, ranking in rankings.items()]
    print_table("Ranked by", ("what", "PR-AUC", "precision at recall .5"), rows)
