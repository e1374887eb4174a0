"""`python -m serving.ingest`: run the receivers; settings come from `AIOPS_*`."""

import argparse
import sys
from collections.abc import Sequence

from serving.host.heap_memory import return_freed_memory
from serving.host.process_entry import entered
from serving.ingest.receive.ingest_process import run_ingest


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; return the exit code."""
    return_freed_memory()
    parser = argparse.ArgumentParser(prog="python -m serving.ingest", description="Receivers: remote write and OTLP.")
    return run_ingest(entered(parser, arguments, quiet=("uvicorn",)).settings)


if __name__ == "__main__":
    sys.exit(main())
