"""The commands `aiops rca …`: which service began a trouble, how sure that is, and the evidence."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands.options import AsJson
from orchestration.console import print_json, print_table
from orchestration.workspace.iso_time import moment

if TYPE_CHECKING:
    from aiops.incidents.root_cause import RootCauseReport

rca_app = typer.Typer(help="Which service began a trouble, how sure that is, and the evidence.", no_args_is_help=True)
Named = Annotated[str, typer.Argument(metavar="INCIDENT", help="id of an incident, or the beginning of one")]
Again = Annotated[bool, typer.Option("--again", help="analyse anew from the lake; the stored analysis stays as it is")]
Plot = Annotated[Path | None, typer.Option("--plot", metavar="FILE.svg", help="draw the first cause's evidence along its path")]


def register(app: typer.Typer) -> None:
    """Add the group to `app`."""
    app.add_typer(rca_app, name="rca")


@rca_app.command("explain")
def explain(incident: Named, again: Again = False, plot: Plot = None, as_json: AsJson = False) -> None:
    """Tell why an incident came about: the newest stored analysis, or a new one where none is stored."""
    from datetime import UTC, datetime

    from orchestration.pipeline import root_cause_answers
    from orchestration.workspace.current_settings import settings_in_force

    settings = settings_in_force()
    answer = root_cause_answers.explained(settings, incident, again, datetime.now(UTC))
    if plot is not None:
        root_cause_answers.draw(settings, answer.report, plot)
    if as_json:
        print_json(answer)
        return
    made = "made just now" if answer.made_now else "stored; --again makes a new one"
    _show(f"Incident {answer.incident_id}, analysis as of {answer.report.made_at:%Y-%m-%d %H:%M:%S}Z ({made})", answer.report)


@rca_app.command("ask")
def ask(
    service: Annotated[str, typer.Option("--service", help="the service that is in trouble")],
    at: Annotated[str, typer.Option("--at", help="ISO 8601 time as of which to explain; nothing later is read")],
    minutes: Annotated[float, typer.Option("--minutes", min=1, max=1440, help="how long before that it began")] = 10.0,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Tell why a service was in trouble at a time, without an incident, from the telemetry in the lake."""
    from orchestration.pipeline import root_cause_answers
    from orchestration.workspace.current_settings import settings_in_force

    asked_at = moment("--at", at)
    assert asked_at is not None
    settings = settings_in_force()
    answer = root_cause_answers.asked(settings, service, asked_at, minutes)
    if plot is not None:
        root_cause_answers.draw(settings, answer.report, plot)
    if as_json:
        print_json(answer)
        return
    _show(f"{service} as of {asked_at:%Y-%m-%d %H:%M:%S}Z", answer.report)


def _show(title: str, report: "RootCauseReport") -> None:
    from orchestration.pipeline.root_cause_answers import lines_of, rows_of

    typer.echo(title)
    typer.echo(report.statement)
    if report.causes:
        print_table("Causes", ("service", "probability", "since"), rows_of(report))
    for line in lines_of(report):
        typer.echo(line)
    seen = f"{report.window_start:%Y-%m-%d %H:%M:%S}Z to {report.window_end:%H:%M:%S}Z"
    typer.echo(f"Telemetry from {seen}; symptom at {report.symptom or 'no service in particular'}.")
