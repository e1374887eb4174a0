"""One command over SSH: by a key, to a host whose key is known, within bounds of time and output."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from aiops.errors import ConfigurationError, Unavailable, legible
from serving.automation.actions.ssh_file import SshHost

CONNECT_S: Final = 10.0
COMMAND_S: Final = 60.0
MOST_BYTES: Final = 65_536
"""Output of a command at most; what is beyond is left out."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command came to: its exit status, -1 = ended by a signal, and the beginning of what it printed."""

    status: int
    output: str


def ran(host: SshHost, text: str) -> Ran:
    """Run a command and return what it came to. Call it in a thread without an event loop.

    Raises:
        ConfigurationError: the extra ssh is not installed, or the key cannot be used.
        Unavailable: the host does not answer, its key is another one, or the command does not end in time.
    """
    asyncssh = _library()
    try:
        return asyncio.run(asyncio.wait_for(_ran(asyncssh, host, text), CONNECT_S + COMMAND_S))
    except asyncssh.HostKeyNotVerifiable as error:
        why = "its key is not the one in known_hosts: somebody may stand in between"
        raise Unavailable(f"ssh {host.address}: {why}; check it, then mend {host.known_hosts}") from error
    except (asyncssh.KeyImportError, ValueError) as error:  # a public key beside it that is not its own is a ValueError
        raise ConfigurationError(f"ssh {host.address}: the key {host.key} cannot be used: {legible(error)}") from error
    except TimeoutError as error:
        raise Unavailable(f"ssh {host.address}: not done within {CONNECT_S + COMMAND_S:.0f} s") from error
    except (OSError, asyncssh.Error) as error:
        raise Unavailable(f"ssh {host.address}:{host.port}: {legible(error)}; check address, user and key") from error


async def _ran(asyncssh: Any, host: SshHost, text: str) -> Ran:
    connection = asyncssh.connect(
        host.address,
        host.port,
        username=host.user,
        client_keys=[str(host.key)],
        known_hosts=str(host.known_hosts),
        preferred_auth="publickey",
        agent_path=None,
        config=[],
        connect_timeout=CONNECT_S,
    )
    quiet = asyncssh.DEVNULL
    async with connection as session, session.create_process(text, stdin=quiet, stderr=quiet, encoding=None) as process:
        output = b""
        while part := await process.stdout.read(65_536):
            output = (output + part)[:MOST_BYTES]
        ended = await process.wait()
    return Ran(-1 if ended.exit_status is None else int(ended.exit_status), output.decode("utf-8", "replace"))


def _library() -> Any:
    try:
        import asyncssh
    except ImportError as error:
        raise ConfigurationError("action ssh.command needs the extra ssh: pip install 'aiops-suite[ssh]'") from error
    return asyncssh
