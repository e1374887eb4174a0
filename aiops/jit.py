"""The one way to compile a kernel: numba, cached on disk, without the GIL, typed for mypy."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def kernel(function: Kernel) -> Kernel:
    """Compile `function` in nopython mode; the first call compiles, later processes load it from the cache."""
    return cast(Kernel, numba.njit(cache=True, nogil=True)(function))
