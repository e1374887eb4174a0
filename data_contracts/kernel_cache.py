"""Compiled kernels on disk, safe when several processes compile at once, and found where nothing can be written.

numba numbers the data files of a kernel and rewrites its index without a lock: two processes that compile two signatures at the
same time take the same number, and one of the signatures is later given the other's machine code. Here a data file is named by
what it holds, is written before the index names it, and the index is changed under a lock.

Kernels lie beside their sources where that folder can be written, else in the user's cache folder, or below `NUMBA_CACHE_DIR`.
Where some lie beside sources in a folder that cannot be written (an image, another user's installation), those are read first.
Where no folder can be written, kernels are compiled in memory at each start.
"""

import contextlib
import fcntl
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from numba.core import caching

Dispatcher = TypeVar("Dispatcher")
_IN_TREE: Final = "__pycache__"
_SAY_S: Final = 10.0


log = logging.getLogger(__name__)


@dataclass(slots=True)
class Compiling:
    """What this process has compiled because nothing was kept for this processor, and who is told so: the log, or a terminal."""

    say: Callable[[str], None] = log.info
    kernels: int = 0
    seconds: float = 0.0
    _open: int = 0
    _at: float = 0.0
    _said_at: float = 0.0

    def begins(self, folder: str) -> None:
        """Note that a kernel is compiled; one may need another."""
        now = time.monotonic()
        if not self.kernels and not self._open:
            self.say(
                "kernels are compiled for this machine's processor, once for each version of the suite; a minute or two; "
                f"they are kept in {folder} and the like"
            )
            self._said_at = now
        self.seconds += now - self._at if self._open else 0.0
        self._open, self._at = self._open + 1, now

    def ends(self) -> None:
        """Note that it is, and say every 10 s, and where 10 s went by, how it stands."""
        now = time.monotonic()
        self.kernels += 1
        self.seconds += now - self._at if self._open else 0.0
        self._open, self._at = max(0, self._open - 1), now
        if now - self._said_at >= _SAY_S:
            self._said_at = now
            self.say(f"kernels: {self.kernels} compiled so far, in {self.seconds:.0f} s")


COMPILING: Final = Compiling()
"""That of this process."""


class KernelFiles:
    """Index and data files of one kernel: those that are written, and those that came with the sources (None = the same)."""

    def __init__(self, own: Any, shipped: Any | None) -> None:
        self._own = own
        self._shipped = shipped

    def load(self, key: object) -> Any:
        """Return what was compiled for a signature, processor and bytecode; None = nothing yet."""
        shipped = None if self._shipped is None else self._shipped.load(key)
        compiled = self._own.load(key) if shipped is None else shipped
        if compiled is None:
            COMPILING.begins(str(Path(self._own._index_path).parent))
        return compiled

    def save(self, key: object, compiled: object) -> None:
        """Keep what was compiled; another process may keep the same, or another signature, at the same time.

        A folder that cannot be written (full, gone) costs the next start the time to compile; it is logged, and nothing raises.
        """
        try:
            self._write(key, compiled)
        except OSError as error:
            log.warning("a compiled kernel is not kept, and compiled anew at the next start: %s", error)
        finally:
            COMPILING.ends()

    def _write(self, key: object, compiled: object) -> None:
        files = self._own
        name = files._data_name(number_of(key))
        files._save_data(name, compiled)
        with Path(f"{files._index_path}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            overloads = files._load_index()
            overloads[key] = name
            files._save_index(overloads)

    def flush(self) -> None:
        """Forget what is kept in the folder that is written."""
        self._own.flush()


def number_of(key: object) -> int:
    """Return a number of a signature, processor and bytecode: the same in every process."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=7).digest(), "big")


def kept(dispatcher: Dispatcher, version: str = "") -> Dispatcher:
    """Return the kernel, which is loaded from disk from now on, and kept there once compiled.

    `version` is that of the sources as a whole: after an upgrade, kernels that this one calls may have changed in other files.
    """
    with contextlib.suppress(RuntimeError):  # numba knows no folder that can be written: it lives in memory only
        cast(Any, dispatcher)._cache = _cache_of(cast(Any, dispatcher).py_func, version)
    return dispatcher


def _cache_of(function: Any, version: str) -> Any:
    library = cast(Any, caching)
    cache = library.FunctionCache(function)
    base, stamp = cache._impl.filename_base, (cache._impl.locator.get_source_stamp(), version)
    folder, beside = Path(cache.cache_path), Path(function.__code__.co_filename).absolute().parent / _IN_TREE
    own, shipped = (library.IndexDataCacheFile(str(path), base, stamp) for path in (folder, beside))
    cache._cache_file = KernelFiles(own, None if folder == beside else shipped)
    return cache
