"""How the suite is: which processes answer, which models are champions, what the stream has counted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiops.errors import Unavailable
from aiops.settings import Settings
from orchestration import services
from orchestration.current_settings import Running, read_running
from orchestration.loop.result import ModelLine
from orchestration.pipeline.deployment import current_version
from orchestration.processes import answers
from orchestration.workspace import Workspace
from serving import streams
from serving.broker import connect


@dataclass(frozen=True, slots=True)
class Health:
    """One process and whether it answers."""

    name: str
    url: str
    healthy: bool


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The state of everything; `counts` is empty where the broker does not answer."""

    processes: tuple[Health, ...]
    models: tuple[ModelLine, ...]
    counts: Mapping[str, int]

    @property
    def healthy(self) -> bool:
        """Return whether every process answers."""
        return all(process.healthy for process in self.processes)


def ask(settings: Settings) -> StatusReport:
    """Ask every process once, the broker first."""
    counts = _counts(settings)
    broker = Health("broker", settings.redis_url.rpartition("@")[2], counts is not None)
    specs = (
        services.mlflow_server(settings),
        services.dagster_webserver(settings),
        services.scorer(settings),
        services.consumer(settings),
        services.responder(settings),
    )
    others = (Health(spec.name, spec.show_url, answers(spec.ready_url)) for spec in specs)
    silent = _silent(read_running(settings.root), {spec.name for spec in specs})
    return StatusReport((broker, *others, *silent), _champions(settings), counts or {})


def _silent(running: Running | None, asked: set[str]) -> Iterator[Health]:
    """Yield the processes of a running suite that answer no URL: healthy while they live."""
    import psutil

    for name, pid in sorted(running.children.items()) if running else ():
        if name not in asked:
            yield Health(name, f"process {pid}", psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


def _champions(settings: Settings) -> tuple[ModelLine, ...]:
    from models.artifacts.catalog import trained_models

    workspace = Workspace.open(settings)
    if settings.mlflow_tracking_uri is None and not (settings.root / "mlflow").exists():
        return tuple(ModelLine(name, "–", "champion") for name in trained_models())
    versions = ((name, current_version(workspace, name)) for name in trained_models())
    return tuple(ModelLine(name, version or "–", "champion") for name, version in versions)


def _counts(settings: Settings) -> dict[str, int] | None:
    try:
        return streams.Streams(connect(settings, timeout_s=2.0)).totals(settings.broker.partitions)
    except Unavailable:
        return None
