"""The one way to compile a kernel: numba, cached on disk, without the GIL, typed for mypy."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def kernel(function: Kernel) -> Kernel:
    """Compile `function` in nopython mode; the first call compiles, later processes load it from the cache."""
    return cast(Kernel, numba.njit(cache=True, nogil=True)(function))


def inlined(function: Kernel) -> Kernel:
    """Compile like `kernel`, but as part of every kernel that calls it: for small functions in hot loops."""
    return cast(Kernel, numba.njit(cache=True, nogil=True, inline="always")(function))
