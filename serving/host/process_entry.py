"""The beginning of each process that is run by `python -m`: private files, the command line, the log, the settings."""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiops.errors import ConfigurationError
from aiops.settings.reading import read_settings
from aiops.settings.tree import Settings
from serving.host.private_files import keep_private, tighten

_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
_FORMAT: Final = "%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"


@dataclass(frozen=True, slots=True)
class ProcessEntry:
    """What a process was started with."""

    options: argparse.Namespace
    settings: Settings


def entered(parser: argparse.ArgumentParser, arguments: Sequence[str] | None, quiet: Sequence[str] = ()) -> ProcessEntry:
    """Keep new files private, parse the command line (with --log-level), set up the log and read the settings.

    `quiet`: loggers of libraries of which only warnings are shown. Ends the process with code 2 where the command line or the
    settings cannot be used; the message says why.
    """
    keep_private()
    parser.add_argument("--log-level", default="INFO", choices=_LEVELS)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=options.log_level, format=_FORMAT)
    for name in quiet:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        settings = read_settings()
    except ConfigurationError as error:
        parser.error(str(error))
    tighten(settings.root)
    return ProcessEntry(options, settings)
