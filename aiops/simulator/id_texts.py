"""Numbers → texts of fixed width, whole columns at a time."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

IdArray = npt.NDArray[np.uint64]


def hexadecimal(*words: IdArray) -> "pa.Array[Any]":
    """Return (n,) texts of 16 hexadecimal digits for each of the words (n,), the first word first.

    >>> hexadecimal(np.array([255], np.uint64), np.array([1], np.uint64)).to_pylist()
    ['00000000000000ff0000000000000001']
    """
    digits = np.stack(words, axis=-1).astype(">u8").tobytes().hex().encode()
    count, width = len(words[0]), 16 * len(words)
    ends = np.arange(count + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(count, pa.py_buffer(ends.tobytes()), pa.py_buffer(digits))


def scattered(numbers: IdArray, salt: int) -> npt.NDArray[np.int64]:
    """Return (n,) ids that differ where the numbers do and look like random ones, as int64; one to one for each salt.

    Source: Steele, Lea & Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014), the mixing of SplitMix64.
    """
    with np.errstate(over="ignore"):
        mixed = numbers + np.uint64(salt % (1 << 64))
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed.view(np.int64)
