"""Freed memory goes back to the system, even after larger arrays were freed before."""

import platform
import subprocess
import sys

import pytest

_PROGRAM = """
import numpy as np
import psutil
from serving.host.heap_memory import return_freed_memory

if {fixed}:
    assert return_freed_memory()
process = psutil.Process()
np.ones(3 << 20)  # 24 MB: from now on glibc puts arrays below that into the heap
before = process.memory_info().rss
arrays = [np.ones(1 << 20) for _ in range(16)]
above = np.ones(1 << 12)
del arrays
print(process.memory_info().rss - before)
"""


def left_over(fixed: bool) -> int:
    ended = subprocess.run([sys.executable, "-c", _PROGRAM.format(fixed=fixed)], capture_output=True, text=True, check=True)
    return int(ended.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these sizes")
def test_arrays_that_were_freed_are_not_kept_behind_a_small_one() -> None:
    assert left_over(fixed=True) < 8 << 20 < 24 << 20 < left_over(fixed=False)
