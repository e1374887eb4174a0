"""The long-running processes of the suite and how they are started: one place for commands, ports and environment."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, SecretStr

from aiops.settings import Settings
from orchestration.processes import ChildSpec

ROOT: Final = Path(__file__).resolve().parents[1]
MLFLOW_PORT: Final = 5000
DAGSTER_PORT: Final = 3000
LOOPBACK: Final = "127.0.0.1"


def environment(settings: Settings) -> Mapping[str, str]:
    """Return the environment that makes a child see the same settings; OMP_NUM_THREADS=1 keeps small models from fighting."""
    shared = {
        "AIOPS_HOME": str(settings.root),
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "DAGSTER_HOME": os.environ.get("DAGSTER_HOME", str(ROOT)),
        "OMP_NUM_THREADS": "1",
    }
    return {**shared, **dict(_changed(settings))}


def _changed(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the nested settings that differ from their defaults, as environment variables."""
    for section in type(settings).model_fields:
        values = getattr(settings, section)
        if not isinstance(values, BaseModel):
            continue
        for name, field in type(values).model_fields.items():
            value = getattr(values, name)
            if value != field.default:
                text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
                yield f"AIOPS_{section.upper()}__{name.upper()}", text


def scorer(settings: Settings) -> ChildSpec:
    """Return the BentoML service (HTTP and gRPC)."""
    url = f"http://{LOOPBACK}:{settings.serving.http_port}"
    return ChildSpec("scorer", ("-m", "serving.bento"), environment(settings), f"{url}/readyz", url, ready_within_s=90)


def consumer(settings: Settings) -> ChildSpec:
    """Return the streaming consumer."""
    url = f"http://{LOOPBACK}:{settings.consumer.metrics_port}"
    return ChildSpec(
        "consumer", ("-m", "serving.consumer"), environment(settings), f"{url}/readyz", f"{url}/metrics", ready_within_s=120
    )


def mlflow_server(settings: Settings) -> ChildSpec:
    """Return the MLflow server over the registry's own database."""
    url = f"http://{LOOPBACK}:{MLFLOW_PORT}"
    artifacts = settings.root / "mlflow" / "artifacts"
    command = ("-m", "mlflow", "server", "--backend-store-uri", settings.tracking_uri, "--default-artifact-root", str(artifacts))
    address = ("--host", LOOPBACK, "--port", str(MLFLOW_PORT))
    calm = {**environment(settings), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return ChildSpec("mlflow", (*command, *address), calm, f"{url}/health", url, ready_within_s=90)


def dagster_webserver(settings: Settings) -> ChildSpec:
    """Return the Dagster web server."""
    url = f"http://{LOOPBACK}:{DAGSTER_PORT}"
    command = ("-m", "dagster_webserver", "-m", "orchestration.definitions", "-h", LOOPBACK, "-p", str(DAGSTER_PORT))
    return ChildSpec("dagster", command, environment(settings), f"{url}/server_info", url, ready_within_s=120)


def dagster_daemon(settings: Settings) -> ChildSpec:
    """Return the Dagster daemon: schedules, sensors, queued runs."""
    return ChildSpec("dagster-daemon", ("-m", "dagster._daemon", "run", "-m", "orchestration.definitions"), environment(settings))


def feeder(settings: Settings, source: tuple[str, ...], speed: float) -> ChildSpec:
    """Return the process that publishes a source at its own pace (`speed` times real time)."""
    command = ("-m", "orchestration.pipeline.feed", "--speed", str(speed), *source)
    return ChildSpec("feeder", command, environment(settings))
