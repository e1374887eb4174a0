"""Shared fixtures: a private home for every test, free ports, the public corpora where present; no network but loopback."""

import ipaddress
import os
import socket
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.testing import free_ports
from tests.testing.deadlines import MACHINE

hypothesis.settings.register_profile("untimed", deadline=None)  # the first example may compile kernels, on a busy machine
hypothesis.settings.load_profile("untimed")

ORDER = ("unit", "property", "contract", "architecture", "integration", "e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run fast folders first; the order within a folder stays."""
    root = Path(__file__).parent
    items.sort(key=lambda item: place(item.path.relative_to(root).parts if item.path.is_relative_to(root) else ()))


def place(parts: Sequence[str]) -> int:
    """Return where a folder of tests comes in `ORDER`; unknown ones last."""
    return ORDER.index(parts[0]) if parts and parts[0] in ORDER else len(ORDER)


def is_local(family: int, address: Any) -> bool:
    """Return whether connecting to `address` stays on this machine."""
    if family not in {socket.AF_INET, socket.AF_INET6}:
        return True
    host = str(address[0])
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(scope="session", autouse=True)
def only_loopback() -> Iterator[None]:
    """Fail whatever connects to another machine; not an Exception, so that no handler can hide it."""
    connects = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex")}

    def guarded(name: str) -> Any:
        def connect(self: socket.socket, address: Any) -> Any:
            if not is_local(self.family, address):
                pytest.fail(f"a test wanted to connect to {address}; tests stay on this machine")
            return connects[name](self, address)

        return connect

    with pytest.MonkeyPatch.context() as patch:
        for name in connects:
            patch.setattr(socket.socket, name, guarded(name))
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell with a failed test how far its deadlines were stretched, and which of them ran out."""
    report = yield
    if report.failed:
        lines = "\n".join([f"deadlines were stretched {MACHINE.factor():.1f} times", *MACHINE.ran_out])
        report.sections.append(("deadlines", lines))
    if report.when == "teardown":
        MACHINE.ran_out.clear()
    return report


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return an empty AIOPS_HOME."""
    folder = tmp_path / "aiops-home"
    folder.mkdir()
    return folder


@pytest.fixture
def free_port() -> int:
    """Return a TCP port that was free a moment ago."""
    return free_ports.free_port()


@pytest.fixture(scope="session")
def corpora() -> Path:
    """Return the folder of the public corpora, or skip."""
    root = Path(os.environ.get("AIOPS_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"public data not found at {root}; set AIOPS_DATA to its folder")
    return root
