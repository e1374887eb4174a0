"""The commands `aiops incidents …`: what is wrong, who works on it, what it was. They need no running responder."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands import silence_commands
from orchestration.commands.options import ActedBy, AsJson
from orchestration.commands.verdict_commands import verdict
from orchestration.console import print_facts, print_json, print_table
from orchestration.workspace.iso_time import moment

if TYPE_CHECKING:
    from aiops.incidents.incident import IncidentState
    from aiops.incidents.root_cause import ExampleTrace
    from serving.incidents.store.records import IncidentCase, IncidentFilter

app = typer.Typer(help="Incidents: list them, act on them, say what they were.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="id of an incident, or a unique beginning of it")]
Note = Annotated[str, typer.Option("--note", help="goes into the audit log")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="at most so many, the newest")]
COLUMNS = ("id", "state", "severity", "opened", "services", "alerts", "first cause")
FAILED_CHECK = 5


def register(root: typer.Typer) -> None:
    """Add the group to `root`."""
    for name, command in (
        ("list", list_incidents),
        ("show", show),
        ("ack", ack),
        ("mitigate", mitigate),
        ("resolve", resolve),
        ("merge", merge),
        ("verdict", verdict),
        ("held-back", held_back),
        ("audit", audit),
    ):
        app.command(name)(command)
    silence_commands.register(app)
    root.add_typer(app, name="incidents")


def list_incidents(
    state: Annotated[list[str] | None, typer.Option("--state", help="open, acknowledged, mitigated, resolved, merged")] = None,
    service: Annotated[list[str] | None, typer.Option("--service", help="those that touch it; repeatable")] = None,
    severity: Annotated[str | None, typer.Option("--severity", help="at least: info, warning, critical")] = None,
    since: Annotated[str | None, typer.Option("--since", help="opened at or after, ISO 8601")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List incidents, the newest first, with the most probable cause of each."""
    from orchestration.commands.incident_access import IncidentWork
    from serving.incidents.api.response_making import lines_of
    from serving.incidents.store.records import PageRequest

    with IncidentWork.opened() as work:
        page = work.store.cases(_wanted(state, service, severity, since), PageRequest(limit))
        glances = work.store.glances([incident.incident_id for incident in page.items])
        rows = lines_of(page, len(page.items), glances).items
    if as_json:
        items = [asdict(line) | {"first_cause": line.cause} for line in rows]
        print_json({"items": items, "more": bool(page.next_cursor)})
        return
    lines = [
        (line.incident_id, line.state, line.severity, f"{line.opened_at:%m-%d %H:%M}", _short(line.services), line.alert_count)
        for line in rows
    ]
    more = ", there are more" if page.next_cursor else ""
    causes = [f"{line.cause} {line.probability:.0%}" if line.cause else None for line in rows]
    table = [(*row, cause) for row, cause in zip(lines, causes, strict=True)]
    print_table(f"{len(rows)} incidents{more} (times UTC)", COLUMNS, table)


def show(incident: Id, as_json: AsJson = False) -> None:
    """Show all that is known of an incident: alerts, most probable causes with evidence, timeline, verdicts."""
    from orchestration.commands.incident_access import IncidentWork
    from serving.incidents.api.response_making import timeline_of, view_of

    with IncidentWork.opened() as work:
        case = work.store.case(incident)
        timeline = timeline_of(case, work.store.reports(case.incident.incident_id))
    if as_json:
        print_json(view_of(case))
        return
    _print_case(case)
    shown_above = "" if case.report is None else case.report.statement
    rows = [
        (f"{event.at:%Y-%m-%d %H:%M:%S}", event.by, "analysed: as above" if event.what == shown_above else event.what)
        for event in timeline.items
    ]
    print_table("Timeline (UTC)", ("at", "by", "what"), rows)


def ack(incident: Id, note: Note = "", by: ActedBy = None, as_json: AsJson = False) -> None:
    """Acknowledge an incident: somebody works on it, it does not escalate any more."""
    from aiops.incidents.incident import IncidentState

    _change(incident, IncidentState.ACKNOWLEDGED, note, by, as_json)


def mitigate(incident: Id, note: Note = "", by: ActedBy = None, as_json: AsJson = False) -> None:
    """Say that users are well again; the incident opens again when one of its alerts does."""
    from aiops.incidents.incident import IncidentState

    _change(incident, IncidentState.MITIGATED, note, by, as_json)


def resolve(incident: Id, note: Note = "", by: ActedBy = None, as_json: AsJson = False) -> None:
    """Say that an incident is over; what comes now opens another one."""
    from aiops.incidents.incident import IncidentState

    _change(incident, IncidentState.RESOLVED, note, by, as_json)


def merge(
    into: Annotated[str, typer.Argument(help="the incident that goes on")],
    other: Annotated[str, typer.Argument(help="the one that repeats it")],
    by: ActedBy = None,
    as_json: AsJson = False,
) -> None:
    """Merge an open incident into another open one."""
    from orchestration.commands.incident_access import IncidentWork, somebody
    from serving.incidents.api.response_making import view_of

    with IncidentWork.opened() as work:
        ids = [work.store.case(name).incident.incident_id for name in (into, other)]
        work.desk.merge(ids[0], ids[1], work.now(), somebody(by))
        case = work.store.case(ids[0])
    print_json(view_of(case)) if as_json else _print_case(case)


def held_back(as_json: AsJson = False) -> None:
    """List incidents that deserve a page and got none yet: the hour's budget is used up, or a storm rages."""
    from orchestration.commands.incident_access import IncidentWork
    from serving.incidents.api.response_making import held_back_of

    with IncidentWork.opened() as work:
        waiting = held_back_of(work.store.held_back()).items
    if as_json:
        print_json(waiting)
        return
    rows = [(held.incident_id, held.severity, f"{held.since:%Y-%m-%d %H:%M:%S}") for held in waiting]
    print_table(f"{len(rows)} pages held back", ("id", "severity", "since (UTC)"), rows)


def audit(
    verify: Annotated[bool, typer.Option("--verify", help="check the chain of digests; exit code 5 if it is broken")] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show who did what to incidents, silences and verdicts, or check that nobody has changed the log."""
    from orchestration.commands.incident_access import IncidentWork
    from serving.incidents.store.records import PageRequest

    with IncidentWork.opened() as work:
        check = work.store.verify_audit() if verify else None
        lines = () if verify else work.store.audit(PageRequest(limit)).items
    if check is not None:
        print_json(check) if as_json else print_facts("Audit log", asdict(check))
        if not check.intact:
            raise typer.Exit(FAILED_CHECK)
        return
    if as_json:
        print_json(lines)
        return
    rows = [
        (entry.seq, f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.by, entry.what, entry.subject, _detail(entry.detail))
        for entry in lines
    ]
    print_table("Audit log (UTC)", ("seq", "at", "by", "what", "subject", "detail"), rows)


def _change(incident: str, state: "IncidentState", note: str, by: str | None, as_json: bool) -> None:
    from orchestration.commands.incident_access import IncidentWork, somebody
    from serving.incidents.api.response_making import view_of

    with IncidentWork.opened() as work:
        incident_id = work.store.case(incident).incident.incident_id
        work.desk.change(incident_id, state, work.now(), somebody(by), note)
        case = work.store.case(incident_id)
    print_json(view_of(case)) if as_json else _print_case(case)


def _wanted(states: list[str] | None, services: list[str] | None, severity: str | None, since: str | None) -> "IncidentFilter":
    from aiops.errors import ConfigurationError
    from aiops.incidents.alert import Severity
    from aiops.incidents.incident import IncidentState
    from serving.incidents.store.records import IncidentFilter

    unknown = sorted(set(states or ()) - {str(level) for level in IncidentState})
    if unknown:
        raise ConfigurationError(f"--state: {unknown[0]!r} is no state; name one of {', '.join(IncidentState)}")
    names = [level.name.lower() for level in Severity]
    if severity is not None and severity not in names:
        raise ConfigurationError(f"--severity: {severity!r} is no severity; name one of {', '.join(names)}")
    least = None if severity is None else Severity[severity.upper()]
    chosen = tuple(IncidentState(name) for name in states or ())
    return IncidentFilter(chosen, tuple(services or ()), least, moment("--since", since))


def _print_case(case: "IncidentCase") -> None:
    incident, cause = case.incident, case.report
    facts = {
        "state": f"{incident.state}{f' into {incident.merged_into}' if incident.merged_into else ''}",
        "severity": incident.severity.name.lower(),
        "opened (UTC)": f"{incident.opened_at:%Y-%m-%d %H:%M:%S}",
        "services": ", ".join(incident.services),
        "alerts": incident.alert_count,
        "paged": "not yet" if incident.notified_at is None else f"{incident.notified_at:%Y-%m-%d %H:%M:%S}",
        "cause": "not analysed yet" if cause is None else cause.statement,
    }
    print_facts(incident.incident_id, facts)
    if cause is not None and cause.causes:
        rows = [(f"{candidate.probability:.0%}", candidate.service, candidate.sentence) for candidate in cause.causes[:5]]
        print_table("Causes", ("probability", "service", "why"), rows)
    if cause is not None and cause.examples:
        traces = [(trace.role, trace.trace_id, f"{trace.started_at:%H:%M:%S}", *_example(trace)) for trace in cause.examples]
        print_table("Example traces (UTC)", ("what", "trace", "at", "enters at", "ms", "waited longest for", "counted"), traces)


def _example(trace: "ExampleTrace") -> tuple[str, str, str, str]:
    """Return where a trace enters, how long it took, what it waited for longest, and what was counted in it."""
    path = trace.path
    longest = sorted(path.steps, key=lambda step: -step.self_ms)[:3]
    waited = "\n".join(
        f"{step.service} {step.operation} {step.self_ms:.1f} ms{' (failed)' if step.failed else ''}" for step in longest
    )
    counts = {
        "spans": path.spans,
        "failed": trace.failed_spans,
        "without a parent": path.orphans,
        "of other clocks": path.moved,
        "not waited for": path.asynchronous,
    }
    counted = [f"{count} {what}" for what, count in counts.items() if count]
    counted += [f"exemplar of {series}" for series in trace.exemplar_of]
    return f"{trace.service} {trace.operation}", f"{trace.duration_ms:.1f}", waited, "\n".join(counted)


def _short(services: tuple[str, ...]) -> str:
    shown = ", ".join(services[:3])
    return f"{shown} +{len(services) - 3}" if len(services) > 3 else shown


def _detail(detail: object) -> str:
    fields = dict(detail) if isinstance(detail, dict) else {}
    return ", ".join(f"{name}={value}" for name, value in fields.items() if value not in ("", [], 0))
