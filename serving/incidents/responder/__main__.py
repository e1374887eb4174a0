"""`python -m serving.incidents.responder`: run one responder process; settings come from `AIOPS_*`."""

import argparse
import sys
from collections.abc import Sequence

from serving.host.process_entry import entered
from serving.incidents.responder.responder_process import run_responder


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.incidents.responder", description="Alerts become incidents, with causes."
    )
    return run_responder(entered(parser, arguments, quiet=("httpx", "alembic", "uvicorn")).settings)


if __name__ == "__main__":
    sys.exit(main())
