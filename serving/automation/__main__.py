"""`python -m serving.automation`: act on incidents; settings come from `AIOPS_*`."""

import argparse
import sys
from collections.abc import Sequence

from serving.automation.runner.run_automation import run_automation
from serving.host.process_entry import entered


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.automation", description="Plans for incidents, and runs of what is approved."
    )
    return run_automation(entered(parser, arguments, quiet=("httpx", "alembic", "uvicorn")).settings)


if __name__ == "__main__":
    sys.exit(main())
