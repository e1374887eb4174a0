"""The one way to compile a kernel: numba, kept on disk, without the GIL, typed for mypy."""

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba

from aiops.version import __version__
from data_contracts.kernel_cache import kept

Kernel = TypeVar("Kernel", bound=Callable[..., object])
_njit: Final[Any] = numba.njit


def kernel(function: Kernel) -> Kernel:
    """Compile `function` in nopython mode; the first call compiles, later processes load it from the cache."""
    return cast(Kernel, kept(numba.njit(nogil=True)(function), __version__))


def inlined(function: Kernel) -> Kernel:
    """Compile like `kernel`, but as part of every kernel that calls it: for small functions in hot loops."""
    return cast(Kernel, kept(numba.njit(nogil=True, inline="always")(function), __version__))


def bare(function: Kernel) -> Kernel:
    """Compile like `kernel`, but without counting references to arrays, which costs more than a small call does.

    The function, and every one that it calls, must not make an array; views of its arguments are fine.
    """
    return cast(Kernel, kept(_njit(nogil=True, _nrt=False)(function), __version__))


def reordering(function: Kernel) -> Kernel:
    """Compile like `bare`, and let sums be added in the order that vectors give.

    The same values give the same bits on one kind of processor; on another kind the last bits may differ.
    """
    return cast(Kernel, kept(_njit(nogil=True, _nrt=False, fastmath={"reassoc"})(function), __version__))
