"""`aiops up`: a history and champions if there are none yet, then every process, watched until it is told to stop."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from aiops.settings import Settings
from orchestration import services
from orchestration.commands.options import SourceChoice
from orchestration.console import print_table
from orchestration.loop.scenario import recorded
from orchestration.pipeline import ingest as ingestion
from orchestration.pipeline.deployment import current_version
from orchestration.pipeline.jobs import range_tags, run_job, run_training
from orchestration.processes import Supervisor
from orchestration.workspace import Workspace
from serving.broker import EmbeddedBroker

WATCH_S = 1.0


def bring_up(settings: Settings, choice: SourceChoice, speed: float, stop: threading.Event, say: Callable[[str], None]) -> None:
    """Start everything and keep it running until `stop` is set; data stays below home.

    Raises:
        Unavailable: a process did not become ready; the message holds the end of its log.
        ConfigurationError: another suite runs on this home, or a port is taken.
    """
    workspace = Workspace.open(settings)
    broker = EmbeddedBroker(settings)
    with Supervisor(settings.root / "logs", say) as supervisor:
        try:
            if settings.broker.url is None:
                broker.start()
            if not current_version(workspace, "isolation-forest"):
                first_champions(workspace, choice, say)
            _start_all(settings, choice, speed, (supervisor, say))
            print_table("Up", ("process", "url"), [(c.spec.name, c.spec.show_url) for c in supervisor.children])
            say("everything runs; `aiops status` shows its health, Ctrl-C ends it")
            while not stop.wait(WATCH_S):
                supervisor.restart_dead()
            say("stopping: data is kept")
        finally:
            supervisor.stop()
            broker.stop()


def first_champions(workspace: Workspace, choice: SourceChoice, say: Callable[[str], None]) -> None:
    """Ingest the history of the source, build features and train: what the services need before their first answer."""
    say("no champions yet: the history of the source is ingested and learned from first (about a minute)")
    scenario = recorded(choice.open())
    split = scenario.split
    ingestion.ingest_truth(workspace, scenario.source)
    ingestion.ingest(workspace, scenario.source.name, scenario.history(), datetime.now(UTC), say)
    run_job(workspace, "ingest_and_features", {}, range_tags(split.history_start, split.history_end))
    for judged in run_training(workspace, split.history_end, say):
        say(f"{judged.model}: {judged.reason}")


def _start_all(settings: Settings, choice: SourceChoice, speed: float, watched: tuple[Supervisor, Callable[[str], None]]) -> None:
    supervisor, say = watched
    specs = [
        services.mlflow_server(settings),
        services.scorer(settings),
        services.consumer(settings),
        services.dagster_webserver(settings),
        services.dagster_daemon(settings),
        services.feeder(settings, choice.arguments(), speed),
    ]
    for spec in specs:
        say(f"starting {spec.name} …")
        supervisor.start(spec)
