"""The command `aiops backtest`: what a detector would have paged, before it pages."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from aiops.errors import ConfigurationError
from orchestration.commands.options import AsJson, SourceName, SourcePath, SourceSet
from orchestration.console import as_json as to_json
from orchestration.console import print_facts, print_json, print_table, say, stage
from orchestration.workspace.source_choice import SourceChoice, remarks_of

COLUMNS = ("rule", "threshold", "pages", "pages_per_day", "false_pages_per_day", "precision", "recall", "mean_lead_min")
HEADS = {"pages_per_day": "pages/day", "false_pages_per_day": "false pages/day and service"}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("backtest")(backtest)


def backtest(
    source: SourceName,
    path: SourcePath = None,
    option: SourceSet = None,
    detector: Annotated[
        str, typer.Option("--detector", help="robust-stream, series-surprise, system-deviation or unit-surprise")
    ] = "robust-stream",
    budget_per_day: Annotated[
        float, typer.Option("--budget-per-day", min=0, help="false pages a day and service that autotune may spend")
    ] = 1.0,
    quiet_min: Annotated[float, typer.Option("--quiet-min", min=0, help="after a page a service is quiet for so long")] = 60.0,
    out: Annotated[Path | None, typer.Option("--out", help="folder for backtest.json and backtest.svg", file_okay=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Fit a detector on a source's history, replay the rest, show pages a day, precision and recall beside the 3-sigma rule."""
    from models.backtest.backtest_detectors import names
    from models.vectors.page_budget import PageBudget
    from orchestration.pipeline.backtest import run_backtest, write_backtest

    if detector not in names():
        raise ConfigurationError(f"--detector {detector}: cannot be back-tested; choose one of {', '.join(names())}")
    telemetry = SourceChoice(source, path, tuple(option or ())).open()
    with stage(f"back-test {detector} on {source}"):
        try:
            run = run_backtest(telemetry, detector, PageBudget(budget_per_day, quiet_min), say)
        finally:
            for text in remarks_of(telemetry):
                say(text)
    facts = {"source": source, "points_read": run.points_read, "points_per_second": run.points_per_second, **asdict(run.result)}
    if out is not None:
        for file in write_backtest(run, out, to_json(facts)):
            say(f"written: {file}")
    if as_json:
        print_json(facts)
        return
    _show(detector, source, facts)


def _show(detector: str, source: str, facts: dict[str, Any]) -> None:
    rules, noisy = facts.pop("rules"), facts.pop("noisiest")
    print_facts(f"Back-test of {detector} on {source}", facts)
    heads = [HEADS.get(name, name.replace("_", " ")) for name in COLUMNS]
    print_table("On the replay; fitted and tuned on the history", heads, [[rule[name] for name in COLUMNS] for rule in rules])
    columns = ("series", "points", "alarms", "alarms_per_day")
    print_table("Noisiest series", columns, [[series[name] for name in columns] for series in noisy])
