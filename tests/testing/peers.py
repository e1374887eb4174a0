"""Programs of others that tests talk to: below the folder that AIOPS_PEERS names (`make peers` fills one), else on PATH.

A test that needs one is run with every version there is, and skipped with a reason where there is none.
"""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

FOLDER: Final = "AIOPS_PEERS"
_ALSO: Final = {
    "prometheus-node-exporter": ("node_exporter",),
    "prometheus-alertmanager": ("alertmanager",),
    "vmagent": ("vmagent-prod",),
    "otelcol": ("otelcol-contrib",),
}
"""Names of Debian's programs as their own releases have them."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One version of a program; `version` is that of its package, "" where it is found on PATH."""

    name: str
    version: str
    path: Path

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()

    @property
    def release(self) -> tuple[int, ...]:
        """Return the numbers that its version begins with; () where it is unknown."""
        numbers = re.match(r"\d+(\.\d+)*", self.version)
        return tuple(int(part) for part in numbers[0].split(".")) if numbers else ()


def peers(name: str) -> list[Peer]:
    """Return every version of a program, oldest first; the one on PATH where the folder has none."""
    folder = os.environ.get(FOLDER)
    noted = sorted(_noted(Path(folder), name), key=lambda peer: peer.release) if folder else []
    on_path = [path for path in map(shutil.which, (name, *_ALSO.get(name, ()))) if path]
    return noted or [Peer(name, "", Path(path)) for path in on_path[:1]]


def each_peer(name: str) -> list[Any]:
    """Return the parameters of a test that takes a `Peer`: every version, or one that is skipped."""
    versions: Sequence[Peer] = peers(name)
    if not versions:
        return [pytest.param(None, id=f"no {name}", marks=pytest.mark.skip(reason=_reason(name)))]
    return [pytest.param(peer, id=str(peer)) for peer in versions]


def needed_peer(name: str) -> Peer:
    """Return the newest version of a program; the test is skipped where there is none."""
    versions = peers(name)
    if not versions:
        pytest.skip(_reason(name))
    return versions[-1]


def _noted(folder: Path, name: str) -> list[Peer]:
    lines = [line.split("\t") for note in sorted(folder.glob("programs/*")) for line in note.read_text().splitlines()]
    return [Peer(name, version, folder / path) for program, version, path in lines if program == name]


def _reason(name: str) -> str:
    return f"no program {name} here: `make peers` may fetch it; else put it on PATH, or name a folder by {FOLDER}"
