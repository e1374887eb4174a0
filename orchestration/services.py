"""The long-running processes of the suite and how they are started: one place for commands, ports and environment."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, SecretStr

from aiops.settings import Settings
from orchestration.processes import ChildSpec

ROOT: Final = Path(__file__).resolve().parents[1]
LOOPBACK: Final = "127.0.0.1"
NO_CHAMPION: Final = 20
"""Exit code of the preparation: all went well, but the gate refused the models; tier 1 watches alone until one passes."""


def environment(settings: Settings) -> Mapping[str, str]:
    """Return the environment that makes a child see the same settings; OMP_NUM_THREADS=1 keeps small models from fighting."""
    shared = {
        "AIOPS_HOME": str(settings.root),
        "AIOPS_TENANT": settings.tenant,
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "DAGSTER_HOME": os.environ.get("DAGSTER_HOME", str(ROOT)),
        "OMP_NUM_THREADS": "1",
    }
    return {**shared, **dict(_nested(settings))}


def _nested(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the nested settings that have a value, as environment variables."""
    for section in type(settings).model_fields:
        values = getattr(settings, section)
        if not isinstance(values, BaseModel):
            continue
        for name in type(values).model_fields:
            value = getattr(values, name)
            if value is not None:
                text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
                yield f"AIOPS_{section.upper()}__{name.upper()}", text


def scorer(settings: Settings, champion: bool = True) -> ChildSpec:
    """Return the BentoML service (HTTP and gRPC); without a `champion` it is awaited alive, for it cannot be ready."""
    url = f"http://{LOOPBACK}:{settings.serving.http_port}"
    awaited = f"{url}/readyz" if champion else f"{url}/livez"
    return ChildSpec("scorer", ("-m", "serving.bento"), environment(settings), awaited, url, ready_within_s=90, needed=True)


def consumer(settings: Settings) -> ChildSpec:
    """Return the streaming consumer."""
    url = f"http://{LOOPBACK}:{settings.consumer.metrics_port}"
    return ChildSpec(
        "consumer",
        ("-m", "serving.consumer"),
        environment(settings),
        f"{url}/readyz",
        f"{url}/metrics",
        ready_within_s=120,
        needed=True,
    )


def responder(settings: Settings) -> ChildSpec:
    """Return the responder: alerts become incidents with root causes, people are told; HTTP API on the scorer's host."""
    url = f"http://{LOOPBACK}:{settings.responder.port}"
    return ChildSpec(
        "responder", ("-m", "serving.responder"), environment(settings), f"{url}/readyz", url, ready_within_s=90, needed=True
    )


def mlflow_server(settings: Settings) -> ChildSpec:
    """Return the MLflow server over the registry's own database."""
    url = f"http://{LOOPBACK}:{settings.up.mlflow_port}"
    artifacts = settings.root / "mlflow" / "artifacts"
    command = ("-m", "mlflow", "server", "--backend-store-uri", settings.tracking_uri, "--default-artifact-root", str(artifacts))
    address = ("--host", LOOPBACK, "--port", str(settings.up.mlflow_port), "--workers", "1")
    calm = {**environment(settings), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return ChildSpec("mlflow", (*command, *address), calm, f"{url}/health", url, ready_within_s=90)


def dagster_webserver(settings: Settings) -> ChildSpec:
    """Return the Dagster web server."""
    url = f"http://{LOOPBACK}:{settings.up.dagster_port}"
    command = ("-m", "dagster_webserver", "-m", "orchestration.definitions", "-h", LOOPBACK, "-p", str(settings.up.dagster_port))
    return ChildSpec("dagster", command, environment(settings), f"{url}/server_info", url, ready_within_s=120)


def dagster_daemon(settings: Settings) -> ChildSpec:
    """Return the Dagster daemon: schedules, sensors, queued runs."""
    return ChildSpec("dagster-daemon", ("-m", "dagster._daemon", "run", "-m", "orchestration.definitions"), environment(settings))


def preparation(settings: Settings, source: tuple[str, ...]) -> ChildSpec:
    """Return the process that learns from the source's history where there is no champion yet; it ends when that is done."""
    return ChildSpec("prepare", ("-m", "orchestration.loop.prepare", *source), environment(settings))


def feeder(settings: Settings, source: tuple[str, ...], speed: float) -> ChildSpec:
    """Return the process that publishes a source at its own pace (`speed` times real time)."""
    command = ("-m", "orchestration.pipeline.feed", "--speed", str(speed), *source)
    return ChildSpec("feeder", command, environment(settings))
