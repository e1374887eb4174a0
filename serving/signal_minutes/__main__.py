"""`python -m serving.signal_minutes`: make series of logs and spans; settings come from `AIOPS_*`."""

import argparse
import gc
import sys
from collections.abc import Sequence

from serving.host.heap_memory import return_freed_memory
from serving.host.process_entry import entered
from serving.signal_minutes.series_makers import makers_of
from serving.signal_minutes.signal_process import run_signals


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; return the exit code."""
    return_freed_memory()
    parser = argparse.ArgumentParser(
        prog="python -m serving.signal_minutes", description="Series by service and minute from logs and spans."
    )
    settings = entered(parser, arguments).settings
    gc.freeze()
    return run_signals(settings, makers_of(settings.signals))


if __name__ == "__main__":
    sys.exit(main())
