"""`python -m serving.responder`: run one responder process; settings come from `AIOPS_*`."""

import argparse
import logging
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from aiops.settings import Settings
from serving.responder.process import run_responder


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m serving.responder", description="Alerts become incidents, with causes.")
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s")
    for name in ("httpx", "alembic", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        settings = Settings()
    except ValidationError as error:
        parser.error(str(error))
    return run_responder(settings)


if __name__ == "__main__":
    sys.exit(main())
