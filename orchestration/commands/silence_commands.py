"""The commands `aiops incidents silence …` and `aiops incidents maintenance …`: what nobody is to hear about."""

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from orchestration.commands.options import ActedBy, AsJson
from orchestration.console import print_json, print_table
from orchestration.workspace.iso_time import moment

if TYPE_CHECKING:
    from aiops.incidents.correlation.suppression import MaintenanceWindow, Matcher, Silence

silence_app = typer.Typer(help="Silences: alerts that are suppressed for a time.", no_args_is_help=True)
maintenance_app = typer.Typer(help="Maintenance windows: planned work, once or again and again.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="a name of your choice; one of the same name is replaced")]
RemovedName = Annotated[str, typer.Argument(help="name of the one to remove, as the list shows it")]
Matchers = Annotated[list[str], typer.Argument(help='conditions that all hold, e.g. service=cart "alertname=~Disk.*" env!=test')]
From = Annotated[str | None, typer.Option("--from", help="begin, ISO 8601; default: now")]
For = Annotated[str | None, typer.Option("--for", help="how long, e.g. 30m, 2h, 7d")]
To = Annotated[str | None, typer.Option("--to", help="end, ISO 8601, instead of --for")]
_MATCHER: Final = re.compile(r"([^=!~]+)(=~|!~|!=|=)(.*)", re.DOTALL)
MOST_NAME: Final = 200
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def register(app: typer.Typer) -> None:
    """Add both groups to `app`."""
    app.add_typer(silence_app, name="silence")
    app.add_typer(maintenance_app, name="maintenance")


@silence_app.command("add")
def add_silence(
    name: Name,
    matchers: Matchers,
    begin: From = None,
    lasts: For = None,
    end: To = None,
    by: ActedBy = None,
    as_json: AsJson = False,
) -> None:
    """Silence alerts that fulfil all conditions, such as `silence add freeze service=~cart.* --for 2h`.

    Expressions (=~ and !~) match the whole label and are RE2's, as in Prometheus.
    """
    from aiops.incidents.correlation.suppression import Silence
    from orchestration.commands.incident_access import IncidentWork, somebody

    chosen = tuple(matcher_of(text) for text in matchers)
    with IncidentWork.opened() as work:
        now = work.now()
        rule = Silence(_named(name), chosen, *_span(now, begin, lasts, end))
        work.desk.silence(rule, now, somebody(by))
    print_json(rule) if as_json else _print_rules([rule])


@silence_app.command("list")
def list_silences(as_json: AsJson = False) -> None:
    """List all silences by name; past ones stay until retention drops them."""
    from orchestration.commands.incident_access import IncidentWork

    with IncidentWork.opened() as work:
        rules = work.store.silences()
    print_json(rules) if as_json else _print_rules(rules)


@silence_app.command("remove")
def remove_silence(name: RemovedName, by: ActedBy = None, as_json: AsJson = False) -> None:
    """End a silence; alerts that it hid are not raised again by themselves."""
    _remove("silence", name, by, as_json)


@maintenance_app.command("add")
def add_window(
    name: Name,
    matchers: Matchers,
    begin: From = None,
    lasts: For = None,
    end: To = None,
    every: Annotated[str | None, typer.Option("--every", help="again and again, e.g. 1d, 7d (UTC)")] = None,
    until: Annotated[str | None, typer.Option("--until", help="the last time is before, ISO 8601; default: without end")] = None,
    by: ActedBy = None,
    as_json: AsJson = False,
) -> None:
    """Announce planned work, such as `maintenance add backup service=db --from 2026-02-01T02:00:00Z --for 1h --every 7d`."""
    from aiops.incidents.correlation.suppression import MaintenanceWindow
    from orchestration.commands.incident_access import IncidentWork, somebody

    chosen = tuple(matcher_of(text) for text in matchers)
    again = None if every is None else duration("--every", every)
    with IncidentWork.opened() as work:
        now = work.now()
        rule = MaintenanceWindow(_named(name), chosen, *_span(now, begin, lasts, end), again, moment("--until", until))
        work.desk.silence(rule, now, somebody(by))
    print_json(_window(rule)) if as_json else _print_rules([rule])


@maintenance_app.command("list")
def list_windows(as_json: AsJson = False) -> None:
    """List all maintenance windows by name."""
    from orchestration.commands.incident_access import IncidentWork

    with IncidentWork.opened() as work:
        rules = work.store.maintenance_windows()
    print_json([_window(rule) for rule in rules]) if as_json else _print_rules(rules)


@maintenance_app.command("remove")
def remove_window(name: RemovedName, by: ActedBy = None, as_json: AsJson = False) -> None:
    """Recall announced work; alerts that it hid are not raised again by themselves."""
    _remove("maintenance", name, by, as_json)


def matcher_of(text: str) -> "Matcher":
    """Return a condition like service=cart, service!=cart, service=~cart.* or service!~cart.*.

    Raises:
        ConfigurationError: it has another form, or the expression cannot be compiled.
    """
    from aiops.errors import ConfigurationError
    from aiops.incidents.correlation.suppression import Matcher

    parts = _MATCHER.fullmatch(text)
    if parts is None:
        raise ConfigurationError(f"matcher {text!r} is not LABEL=VALUE; write for example service=cart or service=~cart.*")
    return Matcher(parts[1].strip(), parts[2], parts[3])


def duration(name: str, text: str) -> timedelta:
    """Return a time span like 90s, 30m, 2h or 7d.

    Raises:
        ConfigurationError: it has another form, or is not above 0.
    """
    from aiops.errors import ConfigurationError

    parts = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if parts is None or not int(parts[1]):
        raise ConfigurationError(f"{name}: {text!r} is no time span; write for example 90s, 30m, 2h or 7d")
    return timedelta(seconds=int(parts[1]) * _UNITS[parts[2]])


def _named(name: str) -> str:
    from aiops.errors import ConfigurationError
    from data_contracts.values.texts import stray_character

    if not name.strip() or len(name) > MOST_NAME or stray_character(name, single_line=True) is not None:
        raise ConfigurationError(
            f"name {name[:MOST_NAME]!r}: give 1 to {MOST_NAME} printable characters, for example deploy-freeze"
        )
    return name


def _span(now: datetime, begin: str | None, lasts: str | None, end: str | None) -> tuple[datetime, datetime]:
    from aiops.errors import ConfigurationError

    starts_at, ends_at = moment("--from", begin) or now, moment("--to", end)
    if (lasts is None) == (ends_at is None):
        raise ConfigurationError("how long? give --for, e.g. 2h, or --to, an ISO 8601 time (not both)")
    return starts_at, ends_at or starts_at + duration("--for", lasts or "")


def _remove(kind: str, name: str, by: str | None, as_json: bool) -> None:
    from aiops.errors import ContractError
    from orchestration.commands.incident_access import IncidentWork, somebody

    with IncidentWork.opened() as work, work.desk.transaction(work.now()) as transaction:
        there = transaction.writer.remove_silence(name) if kind == "silence" else transaction.writer.remove_window(name)
        if not there:
            raise ContractError(f"{kind} {name!r} is not known; `aiops incidents {kind} list` shows them")
        transaction.act(transaction.moment, somebody(by), f"{kind} removed", name, {})
    print_json({"removed": name}) if as_json else typer.echo(f"{kind} {name}: removed.")


def _window(rule: "MaintenanceWindow") -> dict[str, object]:
    every_s = None if rule.every is None else rule.every.total_seconds()
    fields = {"name": rule.name, "matchers": rule.matchers, "starts_at": rule.starts_at, "ends_at": rule.ends_at}
    return {**fields, "every_s": every_s, "until": rule.until}


def _print_rules(rules: "list[Silence | MaintenanceWindow] | tuple[Silence, ...] | tuple[MaintenanceWindow, ...]") -> None:
    rows = []
    for rule in rules:
        conditions = " ".join(f"{matcher.label}{matcher.operator}{matcher.value}" for matcher in rule.matchers)
        every = str(getattr(rule, "every", None) or "once").removesuffix(", 0:00:00")
        rows.append((rule.name, conditions, f"{rule.starts_at:%Y-%m-%d %H:%M}", f"{rule.ends_at:%Y-%m-%d %H:%M}", every))
    print_table("Silences and maintenance windows (UTC)", ("name", "matchers", "from", "to", "every"), rows)
