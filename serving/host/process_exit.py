"""How a process of the suite ends: with its own code, and its own words as the last ones."""

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process as Python does, threads and exit handlers first, but without tearing libraries down.

    Native libraries abort now and then while they are torn down (exit code 134 of a command that is done), or print what they
    think of it behind the command's own last line.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a reader that has gone away, a stream that is closed
            stream.flush()
    os._exit(code)
