"""A small disk that can be filled: a tmpfs of its own; tests skip where mounting is not allowed."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serving.host.full_disk import is_full

_BLOCK = 1 << 16


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """Mount a disk of some MiB at a folder and unmount it at the end."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "aiops-test", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("a small disk cannot be made here: there is no mount")
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode(errors='replace').strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill the disk of a folder to the last byte and return the file that does so."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as sink:
        for size in (_BLOCK, 4096, 1):
            try:
                while True:
                    sink.write(os.urandom(size))
            except OSError as error:
                if not is_full(error):
                    raise
    return ballast
