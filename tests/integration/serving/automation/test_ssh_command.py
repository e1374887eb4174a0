"""Commands over SSH: a real server in this process, real keys, a file of hosts and commands."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aiops.automation.action import ActionRequest, Outcome
from aiops.errors import ConfigurationError, ContractError, StepRefused, Unavailable
from serving.automation.actions.ssh_command import SshCommandKind
from serving.automation.actions.state_action import state_action
from tests.conformance.action_suite import ActionCase, keeps_to_the_contract, leaves_what_others_changed, refuses_parameters
from tests.testing.deadlines import within

asyncssh: Any = pytest.importorskip("asyncssh", reason="the extra ssh is not installed: pip install 'aiops-suite[ssh]'")


@dataclass(slots=True)
class Machine:
    """A machine with one switch: `set on`, `set off` and `get` are its commands; `started` counts starts."""

    folder: Path
    port: int = 0
    switch: str = "off"
    started: int = 0
    commands: list[str] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "ssh.yaml"

    def run(self, process: Any) -> None:
        """Do what a client asks for."""
        command = str(process.command)
        self.commands.append(command)
        if command == "restart":
            self.started += 1
        elif command.startswith("set "):
            self.switch = command.removeprefix("set ")
        process.stdout.write({"get": self.switch, "count": str(self.started), "long": "x" * 501}.get(command, "") + "\n")
        process.exit(3 if command == "broken" else 0)

    def allows(self, **commands: dict[str, Any]) -> None:
        """Write the operator's file."""
        keys = {"key": str(self.folder / "ours"), "known_hosts": str(self.folder / "known_hosts")}
        host = {"address": "127.0.0.1", "port": self.port, "user": "aiops", **keys}
        named = {name: {"hosts": ["web-1"], **command} for name, command in commands.items()}
        self.file.write_text(json.dumps({"hosts": {"web-1": host, "web-2": host}, "commands": named}))


async def serve(machine: Machine, ready: threading.Event, stopped: asyncio.Event) -> None:
    """Serve until stopped."""
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[str(machine.folder / "theirs")],
        authorized_client_keys=str(machine.folder / "authorized"),
        process_factory=machine.run,
    )
    machine.port = server.get_port()
    ready.set()
    await stopped.wait()
    server.close()
    await server.wait_closed()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    for name in ("ours", "theirs"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(tmp_path / name))
        key.write_public_key(str(tmp_path / f"{name}.pub"))
    (tmp_path / "authorized").write_bytes((tmp_path / "ours.pub").read_bytes())
    machine, ready = Machine(tmp_path), threading.Event()
    loop, stopped = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(machine, ready, stopped),))
    thread.start()
    assert ready.wait(within(20))
    knows(machine, "theirs.pub")
    yield machine
    loop.call_soon_threadsafe(stopped.set)
    thread.join()
    loop.close()


def knows(machine: Machine, key: str) -> None:
    """Let a key be that of the machine."""
    public = (machine.folder / key).read_text()
    (machine.folder / "known_hosts").write_text(f"[127.0.0.1]:{machine.port} {public}")


SWITCH = {"state": "get", "run": "set on", "wanted": "on", "undo": "set off"}


def wanted(command: str = "switch-on", host: str = "web-1") -> ActionRequest:
    return ActionRequest("ssh.command", "cart", {"host": host, "command": command})


@pytest.mark.parametrize("check", [keeps_to_the_contract, leaves_what_others_changed])
def test_a_command_and_its_undo(check: Any, machine: Machine) -> None:
    machine.allows(**{"switch-on": SWITCH})

    def meddle() -> None:
        machine.switch = "half"

    check(ActionCase(state_action(SshCommandKind(machine.file)), wanted(), lambda: machine.switch, meddle))


def test_without_a_wanted_state_any_other_is_new(machine: Machine) -> None:
    machine.allows(restart={"state": "count", "run": "restart"})
    action = state_action(SshCommandKind(machine.file))
    keeps_to_the_contract(ActionCase(action, wanted("restart"), lambda: machine.started, lambda: None))
    assert machine.started == 1


def test_a_host_with_another_key_gets_no_command(machine: Machine) -> None:
    machine.allows(**{"switch-on": SWITCH})
    knows(machine, "ours.pub")
    action = state_action(SshCommandKind(machine.file))
    with pytest.raises(Unavailable, match="somebody may stand in between"):
        action.planner.plan(wanted())
    assert machine.commands == []


def test_a_key_that_the_host_does_not_know_gets_in_nowhere(machine: Machine) -> None:
    machine.allows(**{"switch-on": SWITCH})
    step = state_action(SshCommandKind(machine.file)).planner.plan(wanted())
    (machine.folder / "ours").write_bytes((machine.folder / "theirs").read_bytes())
    action = state_action(SshCommandKind(machine.file))
    with pytest.raises(ConfigurationError, match=r"key .* cannot be used"):
        action.planner.plan(wanted())
    (machine.folder / "ours.pub").write_bytes((machine.folder / "theirs.pub").read_bytes())
    with pytest.raises(Unavailable, match="check address, user and key"):
        action.planner.plan(wanted())
    assert action.planner.probe(step) is Outcome.UNKNOWN


def test_only_what_the_file_allows_is_run(machine: Machine) -> None:
    machine.allows(**{"switch-on": SWITCH})
    action = state_action(SshCommandKind(machine.file))
    for wrong, words in (
        ({"command": "reboot"}, "there may: switch-on"),
        ({"host": "web-3"}, "it has: web-1, web-2"),
        ({"host": "web-2"}, "may not run on web-2; there may: none"),
        ({"command": "get; reboot"}, "with.command"),
    ):
        assert words in refuses_parameters(action, wanted(), wrong)
    assert machine.commands == []


def test_a_failed_command_may_have_done_something(machine: Machine) -> None:
    machine.allows(broken={**SWITCH, "run": "broken"}, lost={**SWITCH, "state": "broken"}, long={**SWITCH, "state": "long"})
    action = state_action(SshCommandKind(machine.file))
    step = action.planner.plan(wanted("broken"))
    assert action.runner is not None
    with pytest.raises(Unavailable, match="ended with 3"):
        action.runner.apply(step, "key")
    for command, words in (("lost", "state command ended with 3"), ("long", "501 characters")):
        with pytest.raises(ContractError, match=words):
            action.planner.plan(wanted(command))


def test_what_is_wrong_with_the_file_is_named(machine: Machine) -> None:
    machine.allows(odd={"state": "get", "run": "set on", "undo": "set off"})
    with pytest.raises(ConfigurationError, match=r"commands\.odd.*undo needs wanted"):
        state_action(SshCommandKind(machine.file)).planner.plan(wanted("odd"))
    with pytest.raises(ConfigurationError, match=r"automation\.ssh_file is not set"):
        state_action(SshCommandKind(None)).planner.plan(wanted())
    with pytest.raises(ConfigurationError, match="cannot be read"):
        state_action(SshCommandKind(machine.folder / "missing")).planner.plan(wanted())


def test_what_the_state_was_is_asked_again_before_the_undo(machine: Machine) -> None:
    machine.allows(**{"switch-on": SWITCH})
    action = state_action(SshCommandKind(machine.file))
    step = action.planner.plan(wanted())
    assert action.runner is not None
    action.runner.apply(step, "key")
    machine.switch = "half"
    with pytest.raises(StepRefused):
        action.runner.undo(step, "key-undo")
    assert machine.switch == "half"
