"""`python -m serving.console`: pages for people over the suite's APIs; settings come from `AIOPS_*`."""

import argparse
import sys
from collections.abc import Sequence

from serving.console.console_process import run_console
from serving.host.process_entry import entered


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m serving.console", description="Pages for people over the suite's APIs.")
    return run_console(entered(parser, arguments, quiet=("httpx", "httpcore", "uvicorn")).settings)


if __name__ == "__main__":
    sys.exit(main())
