"""The command `aiops logs pull`: log lines of a range from a Loki into the lake."""

from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from aiops.errors import ConfigurationError
from orchestration.commands.options import AsJson
from orchestration.console import print_facts, print_json, say, stage
from orchestration.workspace.iso_time import moment
from orchestration.workspace.source_choice import header_text

if TYPE_CHECKING:
    from orchestration.pipeline.log_pull import PullMark
    from serving.ingest.pull.loki_http import LokiAccess, LokiHttp

LATE = timedelta(minutes=1)
"""Without --end, newer lines are left for the next pull: they may still be on their way to the Loki."""
logs = typer.Typer(help="Log lines of other systems.", no_args_is_help=True)
Url = Annotated[str, typer.Option("--url", help="address of the Loki, for example http://loki:3100")]
Query = Annotated[str, typer.Option("--query", help="which lines, in LogQL, for example '{namespace=\"shop\"}'")]
Start = Annotated[str | None, typer.Option("--start", help="ISO 8601, inclusive; without it, where the last pull ended")]
End = Annotated[str | None, typer.Option("--end", help="ISO 8601, exclusive; default: a minute ago")]
TokenFile = Annotated[Path | None, typer.Option("--token-file", help="file with a bearer token", exists=True, dir_okay=False)]


def register(app: typer.Typer) -> None:
    """Add the group to `app`."""
    logs.command("pull")(pull)
    app.add_typer(logs, name="logs")


def pull(
    url: Url,
    query: Query,
    start: Start = None,
    end: End = None,
    org: Annotated[str, typer.Option("--org", help="tenant of the Loki (X-Scope-OrgID)")] = "",
    token_file: TokenFile = None,
    limit: Annotated[int, typer.Option("--limit", help="lines a page; the server allows 5000 by default", min=100)] = 5000,
    timeout_s: Annotated[float, typer.Option("--timeout", help="seconds until an answer", min=1.0)] = 30.0,
    retries: Annotated[int, typer.Option("--retries", help="further tries of a page that failed", min=0, max=20)] = 4,
    as_json: AsJson = False,
) -> None:
    """Read log lines of a Loki into the lake, each once, masked as received ones are; go on where the last pull ended."""
    from orchestration.pipeline.log_pull import PullMark, pull_logs
    from orchestration.workspace.workspace import Workspace
    from serving.ingest.pull.loki_http import LokiAccess, LokiPage

    workspace = Workspace.open()
    client = _client(LokiAccess(url, header_text("--org", org), _token(url, token_file), timeout_s), retries)
    mark = PullMark(workspace, f"{client.url} {org} {query}")
    latest = datetime.now(UTC) - LATE
    until = min(moment("--end", end) or latest, latest)
    wanted = LokiPage(query, _begin_ns(start, mark), _ns(until), limit)
    if wanted.start_ns >= wanted.end_ns:
        raise ConfigurationError(f"--start: is not before --end ({until:%Y-%m-%dT%H:%M:%SZ}): there is nothing to pull")
    with stage("logs pull"), closing(client):
        pulled = pull_logs(workspace, client, wanted, mark)
        if pulled.crowded:
            say(f"{pulled.crowded} moments have {limit} lines or more, some may be missing: give a larger --limit")
    print_json(pulled) if as_json else print_facts(f"Pulled from {client.url}: {pulled.sum}", asdict(pulled))


def _client(access: "LokiAccess", retries: int) -> "LokiHttp":
    import random
    import time

    from serving.ingest.pull.loki_http import LokiHttp
    from serving.ingest.pull.request_retries import RetryPolicy

    return LokiHttp(access, RetryPolicy(retries, time.sleep, random.random))


def _token(url: str, file: Path | None) -> str:
    if "@" in urlsplit(url).netloc:
        raise ConfigurationError("--url: holds a password, which everyone who lists the processes would see; give --token-file")
    return header_text("--token-file", file.read_text(encoding="utf-8")) if file else ""


def _begin_ns(start: str | None, mark: "PullMark") -> int:
    given = moment("--start", start)
    if given is not None:
        return _ns(given)
    kept = mark.through_ns()
    if kept is None:
        raise ConfigurationError("--start: not given, and nothing of this query was pulled yet; give --start TIME")
    return kept


def _ns(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000) * 1000
