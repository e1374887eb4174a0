"""The commands of acting: `aiops plans`, `approve`, `reject`, `runs`, `automation`. They need no running suite."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from orchestration.commands.options import ActedBy, AsJson
from orchestration.console import print_json, print_table

if TYPE_CHECKING:
    from aiops.automation.run import RunState
    from aiops.automation.run_ledger import PlannedRun
    from orchestration.commands.automation_access import AutomationWork

plans_app = typer.Typer(help="Plans: what the suite would do, for people to decide.", no_args_is_help=True)
runs_app = typer.Typer(help="Runs: what was done, step by step.", no_args_is_help=True)
automation_app = typer.Typer(help="Acting: whether it may, and what runbooks have earned.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="id of a plan, or a unique beginning of it")]
State = Annotated[list[str] | None, typer.Option("--state", help="waiting, approved, acting, cured, undone …; repeatable")]
Service = Annotated[str, typer.Option("--service", help="for this service")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="at most so many, the newest")]
Note = Annotated[str, typer.Option("--note", help="kept with it")]
COLUMNS: Final = ("id", "state", "made", "runbook", "services", "incident", "until")
UNBOUND: Final = "names are only typed: without serving.jwt_key approvals are not bound to persons"


def register(root: typer.Typer) -> None:
    """Add the commands to `root`."""
    plans_app.command("list")(list_plans)
    plans_app.command("show")(show)
    runs_app.command("list")(list_runs)
    runs_app.command("show")(show)
    runs_app.command("answer")(answer)
    for name, command in (("status", status), ("on", on), ("off", off), ("hold", hold)):
        automation_app.command(name)(command)
    root.add_typer(plans_app, name="plans")
    root.command("approve")(approve)
    root.command("reject")(reject)
    root.add_typer(runs_app, name="runs")
    root.add_typer(automation_app, name="automation")


def list_plans(state: State = None, service: Service = "", limit: Limit = 20, as_json: AsJson = False) -> None:
    """List plans, the last made first."""
    _list("Plans", state, service, limit, as_json)


def list_runs(state: State = None, service: Service = "", limit: Limit = 20, as_json: AsJson = False) -> None:
    """List plans that have acted, the last made first."""
    _list("Runs", state, service, limit, as_json)


def show(plan: Id, as_json: AsJson = False) -> None:
    """Show a plan with all that is needed to decide, and what has become of it."""
    from orchestration.commands.automation_access import AutomationWork

    with AutomationWork.opened() as work:
        _show(work, work.ledger.get(plan), as_json)


def approve(
    plan: Id,
    fingerprint: Annotated[
        str, typer.Option("--fingerprint", help="what was seen; it must be that of the plan, or its beginning")
    ] = "",
    note: Note = "",
    yes: Annotated[bool, typer.Option("--yes", help="do not ask; --json never asks")] = False,
    by: ActedBy = None,
    as_json: AsJson = False,
) -> None:
    """Approve a plan for what it says now; it begins within seconds where the suite runs."""
    from aiops.automation.run import Approval
    from aiops.errors import RunRefused
    from orchestration.commands.automation_access import AutomationWork
    from orchestration.commands.incident_access import somebody

    with AutomationWork.opened() as work:
        planned = work.ledger.get(plan)
        seen = planned.plan.fingerprint
        if fingerprint and not (len(fingerprint) >= 8 and seen.startswith(fingerprint)):
            raise RunRefused(
                f"--fingerprint {fingerprint}: the plan's is {seen[:12]}; look at it again and give 8 digits or more"
            )
        if not (yes or as_json):
            _show(work, planned, as_json)
            typer.confirm("Approve it?", abort=True, err=True)
        approval = Approval(somebody(by), work.now(), seen, note=note)
        approved = work.ledger.approve(planned.plan.plan_id, approval, "admin")
        _decided(work, approved, as_json)


def reject(plan: Id, note: Note = "", by: ActedBy = None, as_json: AsJson = False) -> None:
    """Say no to a plan that has not begun; what acts already is stopped by `aiops automation off`."""
    from orchestration.commands.automation_access import AutomationWork
    from orchestration.commands.incident_access import somebody

    with AutomationWork.opened() as work:
        _decided(work, work.ledger.reject(plan, somebody(by), work.now(), note), as_json)


def answer(
    run: Id,
    values: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE for a field of the question; repeatable")] = None,
    decline: Annotated[bool, typer.Option("--decline", help="say no: the run takes back what it did")] = False,
    note: Note = "",
    by: ActedBy = None,
    as_json: AsJson = False,
) -> None:
    """Answer what a run asks and waits for; `aiops runs show` prints the question."""
    from aiops.automation.run import Answer
    from aiops.errors import ConfigurationError
    from orchestration.commands.automation_access import AutomationWork
    from orchestration.commands.incident_access import somebody

    given = [value.partition("=") for value in values or ()]
    nameless = next((name for name, sign, _ in given if not sign), None)
    if nameless is not None:
        raise ConfigurationError(f"--set {nameless}: write NAME=VALUE, such as --set reason=deployment")
    with AutomationWork.opened() as work:
        said = Answer(somebody(by), work.now(), {name: value for name, _, value in given}, decline, note)
        _decided(work, work.ledger.answer(run, said), as_json)


def status(as_json: AsJson = False) -> None:
    """Say whether anything may begin, what acts, and what runbooks have earned."""
    from orchestration.commands.automation_access import AutomationWork
    from serving.automation.api.run_views import view_of_standing, view_of_switch

    with AutomationWork.opened() as work:
        switch = view_of_switch(work.ledger.switch(), _acting(work), work.names_are_bound)
        standings = [view_of_standing(standing) for standing in work.ledger.standings()]
        waiting = sum(str(planned.run.state) == "waiting" for planned in work.ledger.open_runs())
    if as_json:
        print_json({"switch": switch, "waiting": waiting, "earned": standings})
        return
    turned = f", turned by {switch.by}{f' ({switch.note})' if switch.note else ''}" if switch.by else ""
    typer.echo(f"automation is {'on' if switch.on else 'off'}{turned}; {waiting} plans wait, {len(switch.acting)} runs act")
    if not switch.bound:
        typer.echo(UNBOUND)
    rows = [(line.runbook, line.service, line.cures, line.runs, line.lower, line.refusal or None) for line in standings]
    if rows:
        print_table("Earned", ("runbook", "service", "cures", "runs", "lower 95 %", "alone: no, because"), rows)


def on(note: Note = "", by: ActedBy = None, as_json: AsJson = False) -> None:
    """Let plans begin again."""
    _turn(True, None, note, by, as_json)


def off(
    running: Annotated[str | None, typer.Option("--running", help="what becomes of runs that act: finish, undo or stop")] = None,
    note: Note = "",
    by: ActedBy = None,
    as_json: AsJson = False,
) -> None:
    """Let nothing new begin; where runs act, say what becomes of them (asked where it is not given)."""
    _turn(False, running, note, by, as_json)


def hold(
    runbook: Annotated[str, typer.Argument(help="name of the runbook")],
    service: Annotated[str, typer.Argument(help="name of the service")],
    release: Annotated[bool, typer.Option("--release", help="hold it back no longer")] = False,
    note: Note = "",
    by: ActedBy = None,
) -> None:
    """Hold a runbook back on a service: a person approves each run, whatever it has earned."""
    from aiops.automation.earning import Hold
    from orchestration.commands.automation_access import AutomationWork
    from orchestration.commands.incident_access import somebody

    with AutomationWork.opened() as work:
        work.ledger.hold(Hold(runbook, service, somebody(by), work.now(), note), not release)
    typer.echo(f"{runbook} on {service}: {'not held back' if release else 'held back'}.")


def _list(title: str, state: list[str] | None, service: str, limit: int, as_json: bool) -> None:
    from orchestration.commands.automation_access import AutomationWork
    from serving.automation.api.run_views import line_of
    from serving.automation.ledger.run_records import RunFilter
    from serving.incidents.store.records import PageRequest

    run_filter = RunFilter(_states(state), service=service, began=title == "Runs")
    with AutomationWork.opened() as work:
        page = work.ledger.runs(run_filter, PageRequest(limit))
    lines = [line_of(planned) for planned in page.items]
    if as_json:
        print_json({"items": lines, "more": bool(page.next_cursor)})
        return
    rows = [
        (line.plan_id, line.state, line.made_at, line.runbook, ", ".join(line.services), line.incident_id, line.expires_at)
        for line in lines
    ]
    print_table(title + (", there are more" if page.next_cursor else ""), COLUMNS, rows)


def _states(names: list[str] | None) -> "tuple[RunState, ...]":
    from aiops.automation.run import RunState
    from aiops.errors import ConfigurationError

    try:
        return tuple(RunState(name) for name in names or ())
    except ValueError as error:
        raise ConfigurationError(f"--state: {error}; give one of {', '.join(RunState)}") from error


def _acting(work: "AutomationWork") -> "list[PlannedRun]":
    return [planned for planned in work.ledger.open_runs() if str(planned.run.state) not in ("waiting", "approved")]


def _turn(to_on: bool, running: str | None, note: str, by: str | None, as_json: bool) -> None:
    from aiops.automation.run_ledger import Remainder, Switch
    from aiops.errors import ConfigurationError
    from orchestration.commands.automation_access import AutomationWork
    from orchestration.commands.incident_access import somebody
    from serving.automation.api.run_views import view_of_switch

    with AutomationWork.opened() as work:
        acting = _acting(work)
        if not to_on and acting and running is None:
            if as_json:
                raise ConfigurationError(f"--running is missing: {len(acting)} runs act; give finish, undo or stop")
            running = typer.prompt(f"{len(acting)} runs act; finish, undo or stop them?", err=True)
        if running is not None and running not in list(Remainder):
            raise ConfigurationError(f"--running {running}: give finish, undo or stop")
        work.ledger.turn(Switch(to_on, work.now(), somebody(by), note, Remainder(running or "finish")))
        switch = view_of_switch(work.ledger.switch(), acting, work.names_are_bound)
    print_json(switch) if as_json else typer.echo(f"automation is {'on' if switch.on else 'off'}.")


def _show(work: "AutomationWork", planned: "PlannedRun", as_json: bool) -> None:
    from orchestration.commands.plan_text import plan_text
    from serving.automation.api.run_views import view_of_plan

    standing, bounds = work.ledger.standing(planned.plan), work.ledger.bounds(planned.plan, work.now())
    if as_json:
        print_json(view_of_plan(planned, standing, bounds))
        return
    typer.echo(plan_text(planned, standing, bounds))
    if not work.names_are_bound and str(planned.run.state) == "waiting":
        typer.echo(f"\n{UNBOUND}")


def _decided(work: "AutomationWork", planned: "PlannedRun", as_json: bool) -> None:
    if as_json:
        _show(work, planned, as_json)
    else:
        typer.echo(f"{planned.plan.plan_id}: {planned.run.state}.")
