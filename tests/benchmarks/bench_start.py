"""Seconds and processor seconds from starting a process to ready: with compiled kernels at hand, and with none (`--cold`).

Prints JSON lines with name, value, unit, baseline (`python -c "import numpy, pyarrow"`). Processes are those of `aiops up`.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import psutil

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.consumer_settings import ConsumerSettings
from aiops.settings.ingest_settings import IngestSettings
from aiops.settings.responder_settings import ResponderSettings
from aiops.settings.serving_settings import ServingSettings
from aiops.settings.tree import Settings
from orchestration.suite import services
from orchestration.suite.processes import ChildSpec
from serving.stream.broker import EmbeddedBroker
from tests.testing.free_ports import free_ports

READY_WITHIN_S = 240.0
BARE = "import numpy, pyarrow"
STATUS = "import sys; from orchestration.cli import main; sys.argv = ['aiops', 'status']; main()"


def show(name: str, value: float, unit: str, baseline: float) -> None:
    """Print one figure."""
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "baseline": round(baseline, 3)}), flush=True)


def cpu_s(pid: int) -> float:
    """Return the processor seconds of a process and its children so far."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
    return total


@contextlib.contextmanager
def running(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process for the time of the block."""
    process = subprocess.Popen(command, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def seconds_to_ready(child: ChildSpec, environment: Mapping[str, str]) -> tuple[float, float]:
    """Return wall and processor seconds until the child answers 200 where it says that it is ready."""
    begun = time.perf_counter()
    with running((sys.executable, *child.command), {**environment, **child.environment}) as process:
        while time.perf_counter() - begun < READY_WITHIN_S and process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(child.ready_url, timeout=2).status_code == 200:
                    return time.perf_counter() - begun, cpu_s(process.pid)
            time.sleep(0.02)
    raise SystemExit(f"{child.name} was not ready within {READY_WITHIN_S:.0f} s (exit code {process.returncode})")


def seconds_to_end(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Return wall and processor seconds of a command that ends."""
    before, begun = os.times(), time.perf_counter()
    subprocess.run((sys.executable, *arguments), env=dict(environment), stdout=subprocess.DEVNULL, check=False)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - begun, spent


def children(settings: Settings) -> tuple[ChildSpec, ...]:
    """Return the processes that are measured; the scorer has no model, so it is awaited alive."""
    from_suite = (services.consumer(settings), services.receiver(settings), services.responder(settings))
    return (*from_suite, services.scorer(settings, champion=False))


def measure(home: Path, cold: bool) -> None:
    """Start each process once and print what it took."""
    ports = free_ports(7)
    settings = Settings(
        home=home,
        broker=BrokerSettings(port=ports[0], partitions=1),
        consumer=ConsumerSettings(metrics_port=ports[1]),
        serving=ServingSettings(http_port=ports[2], grpc_port=ports[3], models_from="export"),
        responder=ResponderSettings(port=ports[4]),
        ingest=IngestSettings(port=ports[5], grpc_port=ports[6]),
    )
    environment = {name: text for name, text in os.environ.items() if not name.startswith("AIOPS_")}
    if cold:
        environment["NUMBA_CACHE_DIR"] = str(home / "kernels")
    how = "nothing compiled" if cold else "kernels compiled"
    with EmbeddedBroker(settings):
        bare = seconds_to_end(("-c", BARE), environment)
        took = {child.name: seconds_to_ready(child, environment) for child in children(settings)}
        status = {**environment, **services.environment(settings)}
        took["aiops status"] = seconds_to_end(("-c", STATUS), status)
    for name, (wall, spent) in took.items():
        show(f"{name}, {how}", wall, "s to ready", bare[0])
        show(f"{name}, {how}, one core", spent, "CPU s", bare[1])


def main() -> None:
    """Measure in a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cold", action="store_true", help="forget compiled kernels first")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-start-") as folder:
        measure(Path(folder), options.cold)


if __name__ == "__main__":
    main()
