"""A running scoring service for tests: the real BentoML process over linear models in a folder."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pyarrow as pa

from aiops.settings.serving_settings import ServingSettings
from aiops.settings.tree import Settings
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES, SERVICE_FEATURES_TABLE, TIMESTAMP
from serving.scoring.proto import scoring_pb2 as pb
from serving.scoring.run import launch
from tests.testing.deadlines import Deadline, within
from tests.testing.fakes_models import OUTPUTS, point_alias, write_linear
from tests.testing.free_ports import free_port

ARROW = "application/vnd.apache.arrow.stream"
NAME = SERVICE_FEATURES[0]
FOREST, PREDICTOR = tuple(OUTPUTS)
TICK = datetime(2025, 3, 1, 12, tzinfo=UTC)
JSON_TYPE = {"content-type": "application/json"}
GOOD = orjson.dumps({"rows": [{"service": "a", NAME: 1.0}]})


@dataclass(frozen=True)
class Service:
    """A running service."""

    process: subprocess.Popen[bytes]
    home: Path
    models: Path
    url: str
    grpc: str
    log: Path

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(within(30))


def start(folder: Path, serving: ServingSettings) -> Service:
    """Start the service over linear models 1 (champion) and 2, wait until it is ready."""
    home, models, log = folder / "home", folder / "models", folder / "service.log"
    for name in OUTPUTS:
        write_linear(models, name, "1", 0.25)
        write_linear(models, name, "2", -0.25)
        write_linear(models, name, "wrong", 0.5, example_shift=0.001)
        point_alias(models, name, {"champion": "1", "challenger": "2"})
    given = serving.model_dump(exclude_none=True)
    if serving.jwt_key is not None:
        given["jwt_key"] = serving.jwt_key.get_secret_value()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIOPS_", "MLFLOW_"))}
    environment |= {f"AIOPS_SERVING__{name.upper()}": str(value) for name, value in given.items()}
    start = launch(
        Settings(home=home, serving=serving), environment | {"TEST_MODELS": str(models)}, "tests.testing.fakes_service:Scorer"
    )
    home.mkdir(parents=True)
    with log.open("wb") as out:
        process = subprocess.Popen(start.argv, env=dict(start.environment), stdout=out, stderr=out, start_new_session=True)
    url = f"http://127.0.0.1:{serving.http_port}"
    service = Service(process, home, models, url, f"127.0.0.1:{serving.grpc_port}", log)
    wait_for(lambda: ready(url), 60, lambda: log.read_text()[-3000:])
    return service


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=within(2)).status_code == 200
    except httpx.TransportError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float, why: Callable[[], str]) -> None:
    """Wait until a condition holds, for at most so many seconds of a machine with nothing else to do."""
    deadline = Deadline(seconds)
    while not condition():
        assert not deadline.passed, why()
        time.sleep(0.05)


def fresh(**changes: Any) -> ServingSettings:
    return ServingSettings(
        http_port=free_port(), grpc_port=free_port(), poll_s=0.1, served_flush_s=0.2, max_body_bytes=1 << 20, **changes
    )


def vectors(count: int, seed: int = 0) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, (count, len(SERVICE_FEATURES)))
    values[rng.random(values.shape) < 0.1] = np.nan
    values[0] = np.nan
    columns: list[Any] = [pa.array([TICK] * count, TIMESTAMP)] * 2
    columns += [pa.array([f"service-{n % 40}" for n in range(count)])]
    columns += [pa.array(values[:, index], mask=np.isnan(values[:, index])) for index in range(values.shape[1])]
    return pa.RecordBatch.from_arrays(columns, schema=SERVICE_FEATURES_TABLE)


def stream(batch: pa.RecordBatch | pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write(batch)
    return sink.getvalue().to_pybytes()


def matrix(batch: pa.RecordBatch) -> np.ndarray:
    return np.stack([batch.column(name).to_numpy(zero_copy_only=False) for name in SERVICE_FEATURES], axis=1)


def post(service: Service, path: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return httpx.post(
        f"{service.url}{path}", content=content, headers={"content-type": "application/json"} | headers, timeout=within(20)
    )


def rows_message(batch: pa.RecordBatch) -> pb.Rows:
    message = pb.Rows(feature_names=SERVICE_FEATURES)
    for name, row in zip(batch.column("service").to_pylist(), matrix(batch), strict=True):
        message.rows.add(service=name, event_time_us=int(TICK.timestamp() * 1e6), features=row)
    return message
