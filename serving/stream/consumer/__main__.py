"""`python -m serving.stream.consumer`: run one consumer process; settings come from `AIOPS_*`."""

import argparse
import gc
import sys
from collections.abc import Sequence

from serving.host.heap_memory import return_freed_memory
from serving.host.process_entry import entered
from serving.stream.consumer.consumer_config import ConsumerConfig
from serving.stream.consumer.consumer_process import run_consumer


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; return the exit code."""
    return_freed_memory()
    parser = argparse.ArgumentParser(
        prog="python -m serving.stream.consumer", description="Thin streaming consumer, exactly once."
    )
    parser.add_argument(
        "--partitions", help="comma-separated partition numbers to own, e.g. 0,1 (default: shared with others by leases)"
    )
    parser.add_argument("--only", choices=("ingest", "score"), help="run stage 1 or stage 2 alone (default: both)")
    entry = entered(parser, arguments, quiet=("httpx",))
    options, settings = entry.options, entry.settings
    try:
        owned = _owned(options.partitions, settings.broker.partitions)
    except ValueError as error:
        parser.error(str(error))
    config = ConsumerConfig(
        settings,
        owned,
        score=options.only != "ingest",
        ingest=options.only != "score",
        shared=options.partitions is None,
    )
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
