"""Scoring services for tests of the stream, each on a real socket: a stand-in as thread or process, and the real BentoML one.

`python -m tests.testing.scoring_services PORT` runs the stand-in as a process of its own.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa

from aiops.settings.serving_settings import ServingSettings
from aiops.settings.tree import Settings
from data_contracts.schemas.telemetry_schemas import SEQUENCE_FEATURES, SERVICE_FEATURES
from data_contracts.series.tenant import TENANT_HEADER
from serving.stream import streams
from tests.testing.deadlines import within

ROOT = Path(__file__).parents[2]
READY_S = 60.0


class QuietServer(ThreadingHTTPServer):
    """An HTTP server to which clients that die in the middle are nothing special."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class ScoringThread:
    """The stand-in in a thread: Arrow in, deterministic scores out; can be stopped and started again."""

    def __init__(self, settings: Settings) -> None:
        self.port = port_of(settings)
        self.delay_s = 0.0
        self.rows = 0
        self.services: dict[str | None, set[str]] = {}
        """Services asked about, by the tenant that the request names."""
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._server = QuietServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def kill(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self) -> None:
                asked = streams.from_ipc(self.rfile.read(int(self.headers["Content-Length"])))
                outer.rows += asked.num_rows
                outer.services.setdefault(self.headers[TENANT_HEADER], set()).update(asked.column("service").to_pylist())
                time.sleep(outer.delay_s)
                model, answer = answer_of(self.path, asked)
                body = streams.to_ipc(answer)
                self.send_response(200)
                self.send_header("Content-Type", "application/vnd.apache.arrow.stream")
                self.send_header("x-model-name", model)
                self.send_header("x-model-version", "3")
                self.send_header("x-request-id", "test")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                del args

        return Handler


def answer_of(path: str, asked: pa.Table) -> tuple[str, pa.Table]:
    """Return the model's name and a deterministic answer to rows of features, or of points for /season."""
    if path == "/season":
        return "seasonal-bands", season_of(asked)
    share = np.nan_to_num(asked.column("abnormal_share").to_numpy().astype(float))
    keys = {"service": asked.column("service"), "event_timestamp": asked.column("event_timestamp")}
    if path == "/score":
        score = np.clip(0.1 + 4.0 * share, 0, 1)
        return "service-ensemble", pa.table({**keys, "score": score, "anomalous": score >= 0.5})
    p_60min = np.clip(share * 2, 0, 1)
    horizons = {"p_5min": p_60min / 4, "p_15min": p_60min / 2, "p_60min": p_60min}
    return "incident-predictor", pa.table({**keys, **horizons, "anomalous": p_60min >= 0.2})


def season_of(asked: pa.Table) -> pa.Table:
    """Return bands of 700 to 900 around 800 for requests_per_second; no other metric has any."""
    value = asked.column("value").to_numpy().astype(float)
    known = np.array([metric == "requests_per_second" for metric in asked.column("metric").to_pylist()], dtype=bool)
    score = np.where(known, 1.0 - np.exp2(-np.abs(value - 800.0) / 100.0), np.nan)
    bounds = {name: np.where(known, level, np.nan) for name, level in (("expected", 800.0), ("lower", 700.0), ("upper", 900.0))}
    columns = {
        "service": asked.column("service"),
        **{name: pa.array(values, from_pandas=True) for name, values in {**bounds, "score": score}.items()},
        "rarity": pa.nulls(asked.num_rows, pa.float64()),
        "status": ["established" if is_known else "no band for this series" for is_known in known.tolist()],
    }
    return pa.table(columns)


class ScoringProcess:
    """A scoring service in a process group of its own, ready when `start` returns, gone at once when killed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        argv, environment = self.command()
        with (self._settings.root / "scoring.log").open("ab") as log:
            self._process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log, cwd=ROOT, start_new_session=True)
        deadline = time.monotonic() + within(READY_S)
        while not ready(self._settings.scoring_url):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise AssertionError((self._settings.root / "scoring.log").read_text()[-3000:])
            time.sleep(0.02)

    def kill(self) -> None:
        """Send SIGKILL to the service and every process it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def command(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """Return the command line and the environment."""
        port = str(port_of(self._settings))
        return (sys.executable, "-m", "tests.testing.scoring_services", port), dict(os.environ)


class RealScoring(ScoringProcess):
    """The BentoML service itself over small fitted models exported below the home."""

    def start(self) -> None:
        if not self._settings.exported_models_path.exists():
            export_small_models(self._settings.exported_models_path)
        super().start()

    def command(self) -> tuple[tuple[str, ...], dict[str, str]]:
        from serving.scoring.run import launch
        from tests.testing.stream_harness import free_ports

        serving = ServingSettings(http_port=port_of(self._settings), grpc_port=free_ports(1)[0], models_from="export")
        values = {"HTTP_PORT": serving.http_port, "GRPC_PORT": serving.grpc_port, "MODELS_FROM": serving.models_from}
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIOPS_", "MLFLOW_"))}
        environment |= {f"AIOPS_SERVING__{name}": str(value) for name, value in values.items()}
        environment["AIOPS_BROKER__PORT"] = str(self._settings.broker.port)
        start = launch(Settings(home=self._settings.root, serving=serving), environment)
        return start.argv, dict(start.environment)


def export_small_models(root: Path) -> None:
    """Fit a small ensemble and a small predictor on noise, the same every time, and export them as champions."""
    from models.artifacts.artifact import Example, save_model
    from models.artifacts.export import write_aliases
    from models.detectors.evidence import EmpiricalTail, label_free
    from models.detectors.isolation_forest import ForestConfig, IsolationForest
    from models.detectors.service_ensemble import Member, ServiceEnsemble
    from models.prediction.incident_predictor import IncidentPredictor, PredictorConfig

    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, (2000, len(SERVICE_FEATURES)))
    values = np.hstack([values, np.random.default_rng(2).normal(0, 1, (len(values), len(SEQUENCE_FEATURES)))])
    place = {name: column for column, name in enumerate((*SERVICE_FEATURES, *SEQUENCE_FEATURES))}
    forest_config, config = ForestConfig(trees=20), PredictorConfig(rounds=10)
    seen = [
        np.ascontiguousarray(values[:, [place[name] for name in names]]) for names in (forest_config.features, config.features)
    ]
    labels = (rng.random((len(values), len(config.horizons_min))) < 0.2).astype(np.float64)
    forest = IsolationForest.fit(seen[0], forest_config)
    member = Member(forest, EmpiricalTail.fit(forest.raw_score(seen[0])))
    evidence = member.tail(forest.raw_score(seen[0])).reshape(-1, 1)
    fitted: list[tuple[Any, Any]] = [
        (ServiceEnsemble.of([member], label_free(evidence, 0.01)), seen[0][:5]),
        (IncidentPredictor.fit(seen[1], labels, config), seen[1][:5]),
    ]
    for model, rows in fitted:
        save_model(model, root / model.catalog_name / "1", Example(rows, model.score(rows)))
        write_aliases(root, model.catalog_name, {"champion": "1"})


def port_of(settings: Settings) -> int:
    return int(settings.scoring_url.rpartition(":")[2])


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=within(2), trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def main() -> None:
    settings = Settings.model_validate({"consumer": {"scoring_url": f"http://127.0.0.1:{int(sys.argv[1])}"}})
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    service = ScoringThread(settings)
    service.start()
    stop.wait()
    service.kill()


if __name__ == "__main__":
    main()
