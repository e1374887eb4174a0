"""Speed of the scoring service beside its bare models on the same rows; prints JSON lines: name, value, unit, baseline.

The service runs in its own process with one worker, the clients in this one; baseline = the bare model called here.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import psutil
import pyarrow as pa

from aiops.settings.serving_settings import ServingSettings
from aiops.settings.tree import Settings
from data_contracts.schemas.telemetry_schemas import (
    SEQUENCE,
    SEQUENCE_FEATURES,
    SERVICE_FEATURES,
    SERVICE_FEATURES_TABLE,
    TIMESTAMP,
)
from models.artifacts.artifact import Example, save_model
from models.artifacts.export import write_aliases
from models.detectors.evidence import Combination, EmpiricalTail
from models.detectors.isolation_forest import ForestConfig, IsolationForest
from models.detectors.labelled_trees import LabelledConfig, LabelledTrees
from models.detectors.lstm_autoencoder import AutoencoderConfig, fit_autoencoder
from models.detectors.service_ensemble import Member, RankedModel, ServiceEnsemble
from models.prediction.incident_predictor import IncidentPredictor, PredictorConfig
from serving.scoring.proto import scoring_pb2 as pb
from serving.scoring.proto.scoring_pb2_grpc import ScoringStub
from serving.scoring.requests.vector_rows import RequestRows
from serving.scoring.run import launch
from tests.testing.deadlines import Deadline

HTTP_PORT, GRPC_PORT = 23100, 23101
ROWS = 1000
BULK_ROWS = 8000
"""Rows of a large batch: what a call costs beside its rows is spread over them."""
ARROW = {"content-type": "application/vnd.apache.arrow.stream"}
SLICE_S = 0.25
JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; `baseline` is what the bare model gives, in the same unit."""

    name: str
    value: float
    unit: str
    baseline: float | None = None

    def print(self) -> None:
        record: dict[str, Any] = {"name": self.name, "value": round(self.value, 4), "unit": self.unit}
        if self.baseline is not None:
            record |= {"baseline": round(self.baseline, 4), "ratio": round(self.value / self.baseline, 3)}
        sys.stdout.write(json.dumps(record) + "\n")
        sys.stdout.flush()


def trained(values: np.ndarray) -> dict[str, Any]:
    """Return both served models, fitted on noise: their size, and so their speed, is that of real ones."""
    rng = np.random.default_rng(1)
    forest_config, config = ForestConfig(), PredictorConfig()
    seen, past = rows_of(values).matrix(forest_config.features), rows_of(values).matrix(SEQUENCE_FEATURES)
    hidden = rows_of(values).matrix(config.features)
    chance = 1 / (1 + np.exp(-(hidden[:, :4].sum(axis=1) - 2)))
    labels = (rng.random((len(values), len(config.horizons_min))) < chance[:, None]).astype(np.float64)
    members: list[RankedModel] = [
        IsolationForest.fit(seen, forest_config),
        fit_autoencoder(past, AutoencoderConfig(epochs=2)),
        LabelledTrees.fit(seen, labels[:, 0], LabelledConfig()),
    ]
    ranked = [Member(model, EmpiricalTail.fit(model.raw_score(rows_of(values).matrix(model.features)))) for model in members]
    ensemble = ServiceEnsemble.of(ranked, Combination(np.full(3, 0.5), -3.0, fitted=True))
    return {"service-ensemble": ensemble, "incident-predictor": IncidentPredictor.fit(hidden, labels, config)}


def rows_of(values: np.ndarray) -> RequestRows:
    """Return rows as the service sees them: every service has a past."""
    size = len(values)
    past = np.random.default_rng(2).normal(0, 1, (size, len(SEQUENCE_FEATURES))).astype(np.float32)
    names, times = pa.array(["checkout"] * size), pa.nulls(size, TIMESTAMP)
    return RequestRows(names, times, values, np.zeros(size, dtype=np.bool_), past)


def batch_of(values: np.ndarray, with_past: bool) -> pa.RecordBatch:
    tick = [datetime(2025, 3, 1, tzinfo=UTC)] * len(values)
    arrays: list[Any] = [pa.array(tick, TIMESTAMP)] * 2 + [pa.array([f"service-{n % 50}" for n in range(len(values))])]
    batch = pa.RecordBatch.from_arrays(arrays + [pa.array(column) for column in values.T], schema=SERVICE_FEATURES_TABLE)
    if not with_past:
        return batch
    past = rows_of(values).sequences
    assert past is not None
    entries = pa.array(past.reshape(-1))
    return batch.append_column(SEQUENCE, pa.FixedSizeListArray.from_arrays(entries, past.shape[1]))


def stream(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


@dataclass(frozen=True, slots=True)
class Running:
    """The service that runs: its address and process."""

    url: str
    pid: int


@contextmanager
def service(models: dict[str, Any], values: np.ndarray) -> "Iterator[Running]":
    """Export the models and run the service on them."""
    with tempfile.TemporaryDirectory(prefix="bench-serving-") as folder:
        home = Path(folder)
        for name, model in models.items():
            rows = rows_of(values[:5]).matrix(model.features)
            save_model(model, home / "models" / name / "1", Example(rows, model.score(rows)))
            write_aliases(home / "models", name, {"champion": "1"})
        serving = ServingSettings(http_port=HTTP_PORT, grpc_port=GRPC_PORT, models_from="export")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIOPS_", "MLFLOW_"))}
        environment |= {
            f"AIOPS_SERVING__{name}": value
            for name, value in (("HTTP_PORT", str(HTTP_PORT)), ("GRPC_PORT", str(GRPC_PORT)), ("MODELS_FROM", "export"))
        }
        start = launch(Settings(home=home, serving=serving), environment)
        with (home / "service.log").open("wb") as log:
            process = subprocess.Popen(start.argv, env=dict(start.environment), stdout=log, stderr=log)
        url = f"http://127.0.0.1:{HTTP_PORT}"
        try:
            wait_until_ready(url, home / "service.log")
            yield Running(url, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def wait_until_ready(url: str, log: Path) -> None:
    deadline = Deadline(60)
    while not deadline.passed:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(log.read_text()[-3000:])


def rows_per_second(call: Callable[[], object], rows: int, seconds: float) -> float:
    """Return rows a second of one caller."""
    for _ in range(5):
        call()
    calls, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        call()
        calls += 1
    return calls * rows / (time.perf_counter() - started)


def together(make_call: Callable[[], Callable[[], object]], clients: int, seconds: float) -> float:
    """Return rows a second of several callers at once."""
    totals: list[float] = []
    calls = [make_call() for _ in range(clients)]
    threads = [threading.Thread(target=lambda c=call: totals.append(rows_per_second(c, ROWS, seconds))) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(totals)


@dataclass(frozen=True, slots=True)
class Rates:
    """Rows a second of the bare model and of the service, medians of slices in turn; and rows a second of processor time."""

    bare: float
    service: float
    bare_cpu: float
    service_cpu: float


def side_by_side(bare: Callable[[], object], call: Callable[[], object], rows: int, pid: int, seconds: float) -> Rates:
    """Measure both in turn, `SLICE_S` each: what else the machine does then meets both."""
    for warm in (bare, call) * 5:
        warm()
    slices: dict[str, list[float]] = {"bare": [], "service": []}
    counted, cpu_s = {"bare": 0, "service": 0}, {"bare": 0.0, "service": 0.0}
    clocks = {"bare": time.thread_time, "service": lambda: processor_s(pid)}
    started = time.perf_counter()
    while time.perf_counter() - started < seconds or not slices["service"]:
        for name, work in (("bare", bare), ("service", call)):
            cpu, begun, calls = clocks[name](), time.perf_counter(), 0
            while (spent := time.perf_counter() - begun) < SLICE_S:
                work()
                calls += 1
            slices[name].append(calls * rows / spent)
            counted[name] += calls * rows
            cpu_s[name] += clocks[name]() - cpu
    rates = [float(np.median(slices[name])) for name in slices]
    return Rates(*rates, *(counted[name] / max(cpu_s[name], 0.01) for name in slices))


def processor_s(pid: int) -> float:
    """Return the processor seconds of a process and its children."""
    parent = psutil.Process(pid)
    times = [process.cpu_times() for process in (parent, *parent.children(recursive=True))]
    return sum(spent.user + spent.system for spent in times)


def show_bulk(name: str, running: "Running", path: str, model: Any, with_past: bool, seconds: float) -> None:
    """Print the figures of Arrow batches beside the bare model on the same rows."""
    for size in (ROWS, BULK_ROWS):
        values = np.random.default_rng(5).normal(0, 1, (size, len(SERVICE_FEATURES)))
        asked = rows_of(values) if with_past else replace(rows_of(values), sequences=None)
        rows, body = asked.matrix(model.features), stream(batch_of(values, with_past))
        call = http_call(running.url, path, body, ARROW)
        rates = side_by_side(lambda r=rows: model.score(r), call, size, running.pid, seconds)
        Figure(f"{name} HTTP Arrow x{size}, 1 client", rates.service, "rows/s", rates.bare).print()
        Figure(f"{name} HTTP Arrow x{size}, of processor time", rates.service_cpu, "rows/CPU s", rates.bare_cpu).print()


def http_call(url: str, path: str, body: bytes, headers: dict[str, str]) -> Callable[[], object]:
    client = httpx.Client(base_url=url, headers=headers, timeout=30)

    def call() -> None:
        client.post(path, content=body).raise_for_status()

    return call


def latencies_ms(calls: tuple[Callable[[], object], ...], count: int) -> np.ndarray:
    """Return (len(calls), count) times of calls in turn: what else the machine does then meets all of them."""
    for call in calls * 50:
        call()
    times = np.empty((len(calls), count))
    for number in range(count):
        for which, call in enumerate(calls):
            started = time.perf_counter()
            call()
            times[which, number] = (time.perf_counter() - started) * 1000
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--singles", type=int, default=2000)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    values = np.random.default_rng(0).normal(0, 1, (4000, len(SERVICE_FEATURES)))
    models = trained(values)
    past = rows_of(values[:1]).sequences
    assert past is not None
    known = {"service": "checkout", **dict(zip(SERVICE_FEATURES, values[0].tolist(), strict=True))}
    singles = [json.dumps({"rows": [{**known, **more}]}).encode() for more in ({SEQUENCE: past[0].tolist()}, {})]
    bodies = [stream(batch_of(values[:ROWS], with_past)) for with_past in (True, False)]
    with service(models, values) as running, grpc.insecure_channel(f"127.0.0.1:{GRPC_PORT}") as channel:
        stub, url = ScoringStub(channel), running.url
        for name, path, method, body, single in (
            ("service-ensemble", "/score", stub.Score, bodies[0], singles[0]),
            ("service-ensemble, no sequences", "/score", stub.Score, bodies[1], singles[1]),
            ("incident-predictor", "/predict_incident", stub.PredictIncident, bodies[1], singles[1]),
        ):
            model = models[name.partition(",")[0]]
            asked = rows_of(values[:ROWS])
            rows = (asked if body is bodies[0] else replace(asked, sequences=None)).matrix(model.features)
            bare = rows_per_second(lambda m=model, r=rows: m.score(r), ROWS, options.seconds / 2)
            show_bulk(name, running, path, model, body is bodies[0], 2 * options.seconds)
            two = together(lambda p=path, b=body: http_call(url, p, b, ARROW), 2, options.seconds)
            Figure(f"{name} HTTP Arrow x1000, 2 clients", two, "rows/s", bare).print()
            packed = pb.ScoreRequest(arrow_stream=body)
            typed = rows_per_second(lambda m=method, p=packed: m(p), ROWS, options.seconds)
            Figure(f"{name} gRPC Arrow x1000, 1 client", typed, "rows/s", bare).print()
            calls = (lambda m=model, r=rows[:1]: m.score(r), http_call(url, path, single, JSON))
            bare_ms, times = latencies_ms(calls, options.singles)
            for share in (50, 99):
                baseline = float(np.percentile(bare_ms, share))
                Figure(f"{name} JSON x1 p{share}", float(np.percentile(times, share)), "ms", baseline).print()


if __name__ == "__main__":
    main()
