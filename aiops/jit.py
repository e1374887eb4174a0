"""The one way to compile a kernel: numba, kept on disk, without the GIL, typed for mypy."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

from aiops.version import __version__
from data_contracts.kernel_cache import kept

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def kernel(function: Kernel) -> Kernel:
    """Compile `function` in nopython mode; the first call compiles, later processes load it from the cache."""
    return cast(Kernel, kept(numba.njit(nogil=True)(function), __version__))


def inlined(function: Kernel) -> Kernel:
    """Compile like `kernel`, but as part of every kernel that calls it: for small functions in hot loops."""
    return cast(Kernel, kept(numba.njit(nogil=True, inline="always")(function), __version__))
