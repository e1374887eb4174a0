"""`python -m serving.ingest`: run the receivers; settings come from `AIOPS_*`."""

import argparse
import logging
import sys
from collections.abc import Sequence

from aiops.errors import ConfigurationError
from aiops.settings.reading import read_settings
from serving.host.heap_memory import return_freed_memory
from serving.host.private_files import keep_private, tighten
from serving.ingest.receive.ingest_process import run_ingest


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; return the exit code."""
    keep_private()
    return_freed_memory()
    parser = argparse.ArgumentParser(prog="python -m serving.ingest", description="Receivers: remote write and OTLP.")
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        settings = read_settings()
    except ConfigurationError as error:
        parser.error(str(error))
    tighten(settings.root)
    return run_ingest(settings)


if __name__ == "__main__":
    sys.exit(main())
