"""The guards of the test suite itself: nothing leaves this machine, and fast folders run first."""

import socket

import pytest

from tests.conftest import is_local, place
from tests.testing.deadlines import within


def connect_and_hide(method: str) -> None:
    with socket.socket() as probe:
        try:
            getattr(probe, method)(("192.0.2.1", 80))
        except Exception:  # noqa: BLE001
            return


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_connecting_to_another_machine_fails_whatever_catches_exceptions(method: str) -> None:
    with pytest.raises(pytest.fail.Exception, match="stay on this machine"):
        connect_and_hide(method)


def test_loopback_is_free() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=within(2)) as client,
    ):
        assert client.getpeername() == server.getsockname()


@pytest.mark.parametrize(
    ("family", "host", "local"),
    [
        (socket.AF_INET, "127.8.8.8", True),
        (socket.AF_INET6, "::1", True),
        (socket.AF_INET, "localhost", True),
        (socket.AF_INET, "pypi.org", False),
        (socket.AF_INET6, "2001:db8::1", False),
    ],
)
def test_what_is_local(family: int, host: str, local: bool) -> None:
    assert is_local(family, (host, 1)) is local


def test_fast_folders_come_first() -> None:
    folders = ["e2e", "new", "integration", "unit", "property"]
    assert sorted(folders, key=lambda folder: place((folder, "test_x.py"))) == ["unit", "property", "integration", "e2e", "new"]
