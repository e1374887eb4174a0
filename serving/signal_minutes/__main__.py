"""`python -m serving.signal_minutes`: make series of logs and spans; settings come from `AIOPS_*`."""

import argparse
import gc
import logging
import sys
from collections.abc import Sequence

from aiops.errors import ConfigurationError
from aiops.settings.reading import read_settings
from serving.host.heap_memory import return_freed_memory
from serving.host.private_files import keep_private, tighten
from serving.signal_minutes.series_makers import makers_of
from serving.signal_minutes.signal_process import run_signals


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; return the exit code."""
    keep_private()
    return_freed_memory()
    parser = argparse.ArgumentParser(
        prog="python -m serving.signal_minutes", description="Series by service and minute from logs and spans."
    )
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s")
    try:
        settings = read_settings()
    except ConfigurationError as error:
        parser.error(str(error))
    tighten(settings.root)
    gc.freeze()
    return run_signals(settings, makers_of(settings.signals))


if __name__ == "__main__":
    sys.exit(main())
