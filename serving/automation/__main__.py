"""`python -m serving.automation`: act on incidents; settings come from `AIOPS_*`."""

import argparse
import logging
import sys
from collections.abc import Sequence

from aiops.errors import ConfigurationError
from aiops.settings.reading import read_settings
from serving.automation.runner.run_automation import run_automation
from serving.host.private_files import keep_private, tighten


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; return the exit code."""
    keep_private()
    parser = argparse.ArgumentParser(
        prog="python -m serving.automation", description="Plans for incidents, and runs of what is approved."
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
    return run_automation(settings)


if __name__ == "__main__":
    sys.exit(main())
