"""Commands about long-running processes: bring everything up, ask how it is."""

import signal
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from orchestration.commands.options import AsJson, SourceName, SourcePath, SourceSet
from orchestration.console import print_json, print_table, say

DOWN = 9


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("up")(up)
    app.command("status")(status)


def up(
    source: SourceName = "simulate",
    path: SourcePath = None,
    option: SourceSet = None,
    speed: Annotated[float, typer.Option(min=0.001, help="seconds of the source in one second")] = 1.0,
    reset: Annotated[
        bool,
        typer.Option(
            "--reset-clock",
            help="set aside telemetry and incidents that lie ahead of the clock, because they were played faster; models stay",
        ),
    ] = False,
) -> None:
    """Start everything and keep it running: broker, MLflow, Dagster, scorer, consumer, responder, source. Ctrl-C ends all."""
    from aiops.settings.reading import read_settings
    from orchestration.suite.bootstrap import bring_up
    from orchestration.workspace.source_choice import SourceChoice

    settings = read_settings()
    if reset:
        _set_clock_back(settings.root)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda *_: stop.set())
    code = bring_up(settings, SourceChoice(source, path, tuple(option or ())), speed, stop, say)
    raise typer.Exit(code)


def _set_clock_back(home: Path) -> None:
    from orchestration.suite.home_clock import reset_clock
    from orchestration.workspace.home_lock import hold

    with hold(home, "aiops up --reset-clock"):
        aside = reset_clock(home, datetime.now(UTC))
    say(
        "there was nothing to set aside" if aside is None else f"telemetry, streams and incidents lie in {aside} now; models stay"
    )


def status(as_json: AsJson = False) -> None:
    """Show which processes answer, what waits too long, champions, lag of writers and signals; exit code 9 if not well."""
    from orchestration.suite.health import ask
    from orchestration.workspace.current_settings import settings_in_force

    settings = settings_in_force()
    report = ask(settings)
    if as_json:
        print_json({"healthy": report.healthy, **asdict(report)})
    else:
        rows = [(process.name, process.url, process.healthy, process.detail) for process in report.processes]
        print_table("Processes", ("process", "url", "answers", "what is wrong"), rows)
        if not any(process.healthy for process in report.processes):
            where = f"where it runs, give its AIOPS_HOME (here: {settings.root}) and ports"
            say(f"nothing answers: `aiops up` starts everything; {where}")
        for fault in report.faults:
            say(f"fault: {fault}")
        print_table("Models", ("model", "version", "alias"), [(m.name, m.version, m.alias) for m in report.models])
        lines = [(line.producer, line.newest_event_at, line.lag_s, line.written_at) for line in report.writers]
        print_table("Writers", ("writer", "newest event", "behind the clock, s", "wrote last"), lines)
        owned = [(line.partition, line.stage, line.owner or "nobody", line.since, line.checkpoint) for line in report.partitions]
        if owned:
            print_table("Partitions", ("partition", "stage", "consumer", "since", "state saved in"), owned)
        topics = [
            (f"{line.topic}/{line.partition}", line.tenant, line.next_offset, line.lag, line.noted_at or "never read")
            for line in report.topics
        ]
        if topics:
            print_table("Topics", ("partition", "tenant", "read next", "wait", "as of"), topics)
        if report.signals:
            columns = ("tenant", "lines", "spans", "series", "points", "newest event", "behind the clock, s", "minutes until")
            print_table("Signals", columns, [tuple(asdict(line).values()) for line in report.signals])
        print_table("Stream", ("count", "value"), sorted(report.counts.items()))
    if not report.healthy:
        raise typer.Exit(DOWN)
