"""Freed memory goes back to the system: large arrays get mappings of their own, whatever was freed before.

glibc raises the size from which a block gets a mapping of its own to that of the largest one that was freed, up to 32 MB. Arrays
below it then lie in the heap between small objects, and what a checkpoint or a growing table frees stays with the process.
"""

import ctypes
from typing import Final

_MMAP_THRESHOLD: Final = -3
_TRIM_THRESHOLD: Final = -1
_MAPPED_BYTES: Final = 4 << 20
"""Blocks of so many bytes have mappings of their own; smaller ones, as of batches of points, are reused without a system call."""
_KEPT_BYTES: Final = 64 << 20
"""So much free memory at the end of the heap is kept."""


def return_freed_memory() -> bool:
    """Fix glibc's sizes for this process, at its start; return whether there is a glibc that took them."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library, or another system: it has rules of its own
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))
