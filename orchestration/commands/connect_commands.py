"""The commands `aiops connect …`: what of a living system can be watched, shown and written into the settings."""

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from orchestration.commands.options import AsJson
from orchestration.console import print_json, print_table, say, stage

if TYPE_CHECKING:
    from serving.ingest.pull.prometheus_discovery import Discovered

connect_app = typer.Typer(help="Find out what of a living system can be watched, and write the settings.", no_args_is_help=True)
QUERIES: Final = "prometheus.queries"
CALLS: Final = "prometheus-calls.csv"
"""Files that are written beside the settings file."""
_SHOWN: Final = 4


def register(app: typer.Typer) -> None:
    """Add the group to `app`."""
    app.add_typer(connect_app, name="connect")


@connect_app.command("prometheus")
def prometheus(
    url: Annotated[str, typer.Argument(help="address of the server, e.g. http://prometheus:9090")],
    service_label: Annotated[str | None, typer.Option("--service-label", help="label that names services, tried first")] = None,
    token_file: Annotated[Path | None, typer.Option("--token-file", help="file that holds a bearer token")] = None,
    write: Annotated[
        Path | None,
        typer.Option("--write", help="settings file (aiops.toml) to set url, queries and calls in; files of both lie beside it"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a server what it has: services, golden signals with the queries for them, calls; nothing is written without --write."""
    from orchestration.workspace.source_choice import SourceChoice
    from serving.ingest.pull.prometheus_discovery import discover
    from serving.ingest.pull.prometheus_live import http_of

    given = [f"url={url}", "retries=1", *([f"token_file={token_file}"] if token_file else [])]  # somebody waits
    options = SourceChoice("prometheus", None, tuple(given)).options()
    with stage(f"ask {options.url}"):
        http = http_of(options)
        try:
            discovered = discover(http, service_label)
        finally:
            http.close()
    written = _write(write, url, discovered) if write is not None else ()
    if as_json:
        print_json({**asdict(discovered), "services": discovered.services, "written": [str(path) for path in written]})
        return
    _show(discovered)
    for path in written:
        say(f"written: {path}")
    if write is None:
        say("`--write aiops.toml` puts this into the settings; then `aiops up --source prometheus` learns and follows")
    else:
        say("`aiops up --source prometheus` learns from what the server remembers and follows it")


def _show(discovered: "Discovered") -> None:
    rows = [(p.query.name, p.what, p.series, _short(p.services), p.query.expression) for p in discovered.proposals]
    title = f"{discovered.url}: {discovered.metrics:,} metrics, {len(discovered.services)} services, {len(rows)} queries"
    print_table(title, ("metric", "from", "series", "services", "query"), rows)
    calls = [(call.caller, call.callee, call.what) for call in discovered.calls]
    if calls:
        print_table(f"{len(calls)} calls", ("caller", "callee", "said by"), calls)
    else:
        say("no metric says who calls whom; give --set edges=FILE, or `aiops graph import`")
    for remark in discovered.remarks:
        say(remark)


def _short(services: tuple[str, ...]) -> str:
    more = f" and {len(services) - _SHOWN} more" if len(services) > _SHOWN else ""
    return ", ".join(services[:_SHOWN]) + more


def _write(path: Path, url: str, discovered: "Discovered") -> tuple[Path, ...]:
    """Write queries and calls beside the settings file, and where they lie into it; return the files."""
    from orchestration.project.settings_edit import change_settings
    from serving.ingest.pull.prometheus_discovery import rendered

    path = path.expanduser().absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {"url": url, "queries": QUERIES}
    files = {QUERIES: "\n".join(rendered(discovered)) + "\n"}
    if discovered.calls:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("caller", "callee"))
        writer.writerows((call.caller, call.callee) for call in discovered.calls)
        values["edges"], files[CALLS] = CALLS, text.getvalue()
    for name, text_of_file in files.items():
        (path.parent / name).write_text(text_of_file, encoding="utf-8")
    change_settings(path, "source", values)
    return (path, *(path.parent / name for name in files))
