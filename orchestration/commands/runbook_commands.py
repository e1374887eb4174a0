"""The commands `aiops runbooks …`: list, check and try runbooks, why they fit an incident, what they would have done before."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands.options import AsJson
from orchestration.console import complain, print_json, print_table
from orchestration.workspace.iso_time import moment

if TYPE_CHECKING:
    from aiops.automation.shadow import ShadowReport
    from orchestration.pipeline.runbook_answers import MatchLine, TriedRunbook
    from serving.automation.runbook_folder import FileFault

runbooks_app = typer.Typer(help="Runbooks: what may be done about an incident, and on which terms.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="name of a runbook")]
FAULTY = 2
"""Exit code where a file is faulty."""
FAILED = 1
"""Exit code where a test of a runbook fails."""


def register(app: typer.Typer) -> None:
    """Add the group to `app`."""
    app.add_typer(runbooks_app, name="runbooks")


@runbooks_app.command("list")
def list_runbooks(as_json: AsJson = False) -> None:
    """List the runbooks in force, and those that come with the suite."""
    from orchestration.pipeline import runbook_answers
    from orchestration.workspace.current_settings import settings_in_force

    settings = settings_in_force()
    lines, faults = runbook_answers.listed(settings), runbook_answers.in_force(settings).faults
    if as_json:
        print_json({"runbooks": lines, "faults": faults})
        return
    rows = [
        (line.name, line.version[:8], line.target, ", ".join(line.actions), "yes" if line.in_force else "no", line.title)
        for line in lines
    ]
    print_table(
        f"Runbooks ({settings.runbooks_path(settings.tenant)})",
        ("name", "version", "acts on", "actions", "in force", "title"),
        rows,
    )
    _complain_of(faults)


@runbooks_app.command("show")
def show(name: Name, as_json: AsJson = False) -> None:
    """Print a runbook as it lies in its file; those of the library are meant to be copied and adapted."""
    from orchestration.pipeline import runbook_answers
    from orchestration.workspace.current_settings import settings_in_force

    settings = settings_in_force()
    runbook = runbook_answers.named(settings, name)
    if as_json:
        content = runbook.runbook.model_dump(mode="json", by_alias=True)
        print_json({"version": runbook.version, "source": runbook.source, "runbook": content})
        return
    typer.echo(runbook_answers.text_of(settings, runbook), nl=False)


@runbooks_app.command("check")
def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="files or folders; default: what is in force")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check runbooks without using them: all that is wrong is said with file, line and column, and ends with code 2."""
    from orchestration.pipeline import runbook_answers
    from orchestration.workspace.current_settings import settings_in_force

    checked = runbook_answers.checked(settings_in_force(), tuple(paths or ()))
    if as_json:
        versions = {runbook.name: runbook.version for runbook in checked.runbooks}
        print_json({"runbooks": versions, "faults": checked.faults})
    else:
        for runbook in checked.runbooks:
            typer.echo(f"{runbook.name} {runbook.version[:8]} ({runbook.source}): good")
        _complain_of(checked.faults)
    if checked.faults:
        raise typer.Exit(FAULTY)


@runbooks_app.command("test")
def try_out(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="runbooks; default: all in force")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the tests that runbooks bring, on fakes: nothing is reached. Ends with code 1 where one fails."""
    from orchestration.pipeline import runbook_answers
    from orchestration.workspace.current_settings import settings_in_force

    settings = settings_in_force()
    runbooks = runbook_answers.tested(settings, tuple(names or ()))
    faults = () if names else runbook_answers.in_force(settings).faults
    if as_json:
        print_json({"passed": all(runbook.passed for runbook in runbooks), "runbooks": runbooks, "faults": faults})
    else:
        _print_tests(runbooks)
        _complain_of(faults)
    if faults:
        raise typer.Exit(FAULTY)
    if not all(runbook.passed for runbook in runbooks):
        raise typer.Exit(FAILED)


@runbooks_app.command("explain")
def explain(
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="id of an incident, or the beginning of one")],
    as_json: AsJson = False,
) -> None:
    """Tell which runbooks fit an incident, and of each other one which part of its expression does not hold."""
    from datetime import UTC, datetime

    from orchestration.pipeline import runbook_answers
    from orchestration.workspace.current_settings import settings_in_force

    explanation = runbook_answers.explained(settings_in_force(), incident, datetime.now(UTC))
    if as_json:
        print_json(explanation)
        return
    typer.echo(f"Incident {explanation.incident_id} as of {explanation.at:%Y-%m-%d %H:%M:%S}Z")
    if not explanation.lines:
        typer.echo("No runbook is in force: `aiops runbooks list` says where they are read from.")
    for line in explanation.lines:
        _print_match(line)


@runbooks_app.command("replay")
def replay(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="runbooks; default: all in force")] = None,
    since: Annotated[str | None, typer.Option("--since", help="only incidents opened at or after this ISO 8601 time")] = None,
    until: Annotated[str | None, typer.Option("--until", help="only incidents opened before this ISO 8601 time")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what runbooks would have done in past incidents, without acting: when, on whom, and how people judged the incident."""
    from orchestration.pipeline import runbook_answers
    from orchestration.workspace.current_settings import settings_in_force
    from serving.incidents.store.records import IncidentFilter

    span = IncidentFilter(since=moment("--since", since), until=moment("--until", until))
    report = runbook_answers.shadow(settings_in_force(), tuple(names or ()), span)
    if as_json:
        print_json(report)
        return
    _print_shadow(report)


@runbooks_app.command("schema")
def schema(
    facts: Annotated[bool, typer.Option("--facts", help="print what expressions may name instead")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the JSON schema of runbooks, for editors; or all names that expressions know."""
    from aiops.automation.fact_names import FACTS_OF
    from aiops.automation.runbook_schema import runbook_schema

    if not facts:
        typer.echo(runbook_schema(), nl=False)
        return
    scopes = {str(scope): list(held) for scope, held in FACTS_OF.items()}
    if as_json:
        print_json(scopes)
        return
    for scope, held in scopes.items():
        print_table(scope, ("name", "type", "meaning"), [(fact.name, str(fact.type), fact.meaning) for fact in held])


def _complain_of(faults: "tuple[FileFault, ...]") -> None:
    for fault in faults:
        kept = f" (version {fault.in_force[:8]} stays in force)" if fault.in_force else ""
        complain(fault.message + kept)


def _print_tests(runbooks: "tuple[TriedRunbook, ...]") -> None:
    if not runbooks:
        typer.echo("No runbook is in force: `aiops runbooks list` says where they are read from.")
    for runbook in runbooks:
        failed = [result for result in runbook.tests if not result.passed]
        counts = f"{len(runbook.tests) - len(failed)} of {len(runbook.tests)} tests passed"
        outcome = counts if runbook.tests else "it brings no tests"
        typer.echo(f"{runbook.runbook} {runbook.version[:8]}: {outcome}")
        for result in failed:
            complain(f"{result.runbook}: {result.test} ({result.case}): {result.came}, expected {result.expected}")
            for line in result.story:
                complain(f"  - {line}")


def _print_match(line: "MatchLine") -> None:
    if line.fits:
        typer.echo(f"{line.runbook} fits: it would act on {line.service}")
        return
    typer.echo(f"{line.runbook} does not fit:")
    for sentence in line.because:
        typer.echo(f"  - {sentence}")


def _print_shadow(report: "ShadowReport") -> None:
    rows = [
        (f"{action.at:%Y-%m-%d %H:%M:%S}Z", action.incident_id, action.runbook, action.service, str(action.judged),
         None if action.before_end_s is None else action.before_end_s / 60.0, action.held_back or None)
        for action in report.actions
    ]  # fmt: skip
    print_table("Would have acted", ("at", "incident", "runbook", "on", "judged", "min before its end", "held back by"), rows)
    counts = [
        (each.runbook, each.incidents, each.acted, each.right, each.wrong_service, each.false_alarms, each.unjudged,
         each.right_on_symptom, each.held_back)
        for each in report.summaries
    ]  # fmt: skip
    columns = (
        "runbook",
        "incidents",
        "acted",
        "right",
        "wrong service",
        "false alarms",
        "unjudged",
        "right on symptom",
        "held back",
    )
    print_table("Runbooks", columns, counts)
