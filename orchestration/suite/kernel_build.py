"""Compile every kernel of the running processes for this machine's processor, once: `python -m orchestration.suite.kernel_build`.

Each kind of process in one of its own, side by side; what they compile is kept (`data_contracts.kernel_cache`), so that each is
ready within seconds afterwards. `make kernels` and the image do this; without it the first start compiles.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from aiops.settings.consumer_settings import ConsumerSettings
from aiops.settings.tree import Settings


def build_consumer(settings: Settings) -> None:
    """Compile what stage 1 runs, with everything that may be switched on."""
    from serving.stream.consumer.consumer_process import partition_config
    from serving.stream.consumer.warm_up import warm_up

    warm_up(partition_config(settings))


def build_receivers(settings: Settings) -> None:
    """Compile what the receivers run for each format."""
    from serving.ingest.receive.ingest_process import receiver_rules
    from serving.ingest.receive.receiver_warm_up import OTLP, warm_up
    from serving.ingest.receive.receivers import BodyDecoder
    from serving.ingest.receive.remote_write_endpoint import VERSION_1, VERSION_2
    from serving.ingest.receive.wire.otlp_decoder import OtlpMetricsDecoder
    from serving.ingest.receive.wire.remote_write_decoders import RemoteWrite1Decoder, RemoteWrite2Decoder

    decoders: dict[str, BodyDecoder] = {
        VERSION_1: RemoteWrite1Decoder(1),
        VERSION_2: RemoteWrite2Decoder(1),
        OTLP: OtlpMetricsDecoder(1),
    }
    warm_up(decoders, receiver_rules(settings))


def build_scorer(_: Settings) -> None:
    """Compile the walk through an isolation forest."""
    import numpy as np

    from models.detectors.isolation_forest import ForestConfig, IsolationForest

    config = ForestConfig()
    rows = np.random.default_rng(0).normal(size=(300, len(config.features)))
    forest = IsolationForest.fit(rows, config)
    forest.score(rows[:2])
    forest.explain(rows[:2])


JOBS: Final[Mapping[str, Callable[[Settings], None]]] = {
    "consumer": build_consumer,
    "receivers": build_receivers,
    "scorer": build_scorer,
}


def build(name: str) -> None:
    """Compile the kernels of one kind of process in this one."""
    with tempfile.TemporaryDirectory(prefix="aiops-kernels-") as folder:
        JOBS[name](Settings(home=Path(folder), consumer=ConsumerSettings(novelty=True)))


def main() -> int:
    """Build what is named, everything side by side where nothing is; return the exit code."""
    names = sys.argv[1:]
    if names:
        for name in names:
            build(name)
        return 0
    began = time.monotonic()
    children = {name: subprocess.Popen((sys.executable, "-m", "orchestration.suite.kernel_build", name)) for name in JOBS}
    codes = {name: child.wait() for name, child in children.items()}
    sys.stdout.write(f"kernels of {', '.join(JOBS)} are at hand after {time.monotonic() - began:.1f} s\n")
    return max(codes.values())


if __name__ == "__main__":
    sys.exit(main())
