"""`python -m serving.stream.consumer`: run one consumer process; settings come from `AIOPS_*`."""

import argparse
import gc
import logging
import sys
from collections.abc import Sequence

from aiops.errors import ConfigurationError
from aiops.settings.reading import read_settings
from serving.host.heap_memory import return_freed_memory
from serving.host.private_files import keep_private, tighten
from serving.stream.consumer.consumer_config import ConsumerConfig
from serving.stream.consumer.consumer_process import run_consumer


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; return the exit code."""
    keep_private()
    return_freed_memory()
    parser = argparse.ArgumentParser(
        prog="python -m serving.stream.consumer", description="Thin streaming consumer, exactly once."
    )
    parser.add_argument(
        "--partitions", help="comma-separated partition numbers to own, e.g. 0,1 (default: shared with others by leases)"
    )
    parser.add_argument("--only", choices=("ingest", "score"), help="run stage 1 or stage 2 alone (default: both)")
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s")
    try:
        settings = read_settings()
        owned = _owned(options.partitions, settings.broker.partitions)
    except (ConfigurationError, ValueError) as error:
        parser.error(str(error))
    config = ConsumerConfig(
        settings,
        owned,
        score=options.only != "ingest",
        ingest=options.only != "score",
        shared=options.partitions is None,
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    tighten(settings.root)
    gc.freeze()
    return run_consumer(config)


def _owned(text: str | None, count: int) -> tuple[int, ...]:
    if text is None:
        return tuple(range(count))
    owned = tuple(sorted({int(part) for part in text.split(",")}))
    if not owned or owned[0] < 0 or owned[-1] >= count:
        raise ValueError(f"--partitions {text}: numbers must lie in 0..{count - 1} (AIOPS_BROKER__PARTITIONS={count})")
    return owned


if __name__ == "__main__":
    sys.exit(main())
