"""`python -m serving.incidents.responder`: run one responder process; settings come from `AIOPS_*`."""

import argparse
import logging
import sys
from collections.abc import Sequence

from aiops.errors import ConfigurationError
from aiops.settings.reading import read_settings
from serving.host.private_files import keep_private, tighten
from serving.incidents.responder.responder_process import run_responder


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; return the exit code."""
    keep_private()
    parser = argparse.ArgumentParser(
        prog="python -m serving.incidents.responder", description="Alerts become incidents, with causes."
    )
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s")
    for name in ("httpx", "alembic", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        settings = read_settings()
    except ConfigurationError as error:
        parser.error(str(error))
    tighten(settings.root)
    return run_responder(settings)


if __name__ == "__main__":
    sys.exit(main())
