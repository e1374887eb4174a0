"""Weight of a server behind HAProxy, by its runtime API over a Unix socket or TCP.

Source: HAProxy management guide, "show stat" and "set server BACKEND/SERVER weight".
"""

import csv
import io
import socket
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field

from aiops.automation.action import ActionRequest, PlainMapping, PlannedStep, Risk
from aiops.errors import ContractError, StepRefused, Unavailable, legible
from serving.automation.actions.action_parameters import PORT, Parameters, parsed
from serving.automation.actions.state_action import StateChange, compared, refuse_changed, request_of

KIND: Final = "haproxy.weight"
_TIMEOUT_S: Final = 5.0
_MOST_BYTES: Final = 4 << 20
_NAME: Final = r"^[A-Za-z0-9_.:-]{1,200}$"


class WeightParameters(Parameters):
    """`socket`: /PATH or HOST:PORT of the runtime API, level admin; `weight` 0 takes no new connections."""

    socket: Annotated[str, Field(pattern=rf"^(/[^\s;]+|[A-Za-z0-9_.-]+:{PORT})$", max_length=500)]
    backend: Annotated[str, Field(pattern=_NAME)]
    server: Annotated[str, Field(pattern=_NAME)]
    weight: Annotated[int, Field(ge=0, le=256)]


class HaproxyWeight:
    """Sets a server's weight; HAProxy forgets it when it starts again."""

    kind = KIND
    parameters = WeightParameters
    risk = Risk.LOW
    outcome = staticmethod(compared)

    def read(self, request: ActionRequest) -> PlainMapping:
        """Return the server's weight.

        Raises:
            ContractError: there is no such backend or server.
            Unavailable: the runtime API does not answer.
        """
        return {"weight": self._weights(parsed(WeightParameters, request))[0]}

    def change(self, request: ActionRequest) -> StateChange:
        """Return the new weight, with the share of the backend's weight that it moves.

        Raises:
            ContractError: no other server of the backend would take what this one lets go.
        """
        parameters = parsed(WeightParameters, request)
        name = f"{parameters.backend}/{parameters.server}"
        own, whole = self._weights(parameters)
        if parameters.weight == 0 and whole == own:
            raise ContractError(
                f"with.weight=0: {name} is the only server of its backend that takes requests; nobody would answer"
            )
        return StateChange(
            target=f"haproxy {parameters.socket} {name}",
            parameters=dict(request.parameters),
            before={"weight": own},
            after={"weight": parameters.weight},
            difference=f"weight of {name}: {own} → {parameters.weight}",
            effect=f"{_share(own, whole):.0%} of the new requests of {parameters.backend} go there now, "
            f"{_share(parameters.weight, whole - own + parameters.weight):.0%} afterwards",
            undo=f"sets the weight back to {own}",
            replica_share=_share(own, whole),
        )

    def swap(self, step: PlannedStep, into: PlainMapping, key: str) -> None:
        """Set the weight where it is still the one planned.

        Raises:
            StepRefused: it is another one by now, or HAProxy refuses.
            Unavailable: the runtime API does not answer.
        """
        parameters = parsed(WeightParameters, request_of(step))
        refuse_changed(step, into, {"weight": self._weights(parameters)[0]})
        answer = _asked(parameters.socket, f"set server {parameters.backend}/{parameters.server} weight {into['weight']}")
        if answer.strip():
            raise StepRefused(f"{step.target}: HAProxy refuses: {answer.strip()[:200]}")

    def _weights(self, parameters: WeightParameters) -> tuple[int, int]:
        """Return the weight of the server, and of all servers of its backend that are up."""
        rows = [row for row in _statistics(parameters.socket) if row["pxname"] == parameters.backend]
        servers = {row["svname"]: row for row in rows if row["svname"] not in ("BACKEND", "FRONTEND")}
        if parameters.server not in servers:
            known = ", ".join(sorted(servers)) or "none"
            raise ContractError(
                f"with.server={parameters.server!r}: backend {parameters.backend!r} has no such server; it has: {known}"
            )
        own = _own_weight(parameters)
        others = (row for name, row in servers.items() if name != parameters.server and _is_up(row))
        return own, sum(map(_number, others)) + (own if _is_up(servers[parameters.server]) else 0)


def _own_weight(parameters: WeightParameters) -> int:
    """Return the weight that is set, which the statistics do not show while a server starts slowly."""
    answer = _asked(parameters.socket, f"get weight {parameters.backend}/{parameters.server}").strip()
    weight = answer.partition(" ")[0]
    if not weight.isdigit():
        raise Unavailable(f"haproxy {parameters.socket}: does not say the weight of {parameters.server}: {legible(answer)}")
    return int(weight)


def _is_up(row: Mapping[str, str]) -> bool:
    return row["status"].startswith(("UP", "no check"))


def _number(row: Mapping[str, str]) -> int:
    return int(row["weight"] or 0)


def _share(part: int, whole: int) -> float:
    return part / whole if whole > 0 else 1.0


def _statistics(address: str) -> list[dict[str, str]]:
    text = _asked(address, "show stat").lstrip("# ")
    return list(csv.DictReader(io.StringIO(text)))


def _asked(address: str, command: str) -> str:
    """Return what HAProxy answers to one command.

    Raises:
        Unavailable: it does not answer.
    """
    try:
        with _connected(address) as connection:
            connection.sendall(f"{command}\n".encode())
            parts, size = [], 0
            while data := connection.recv(65_536):
                parts.append(data)
                size += len(data)
                if size > _MOST_BYTES:
                    raise Unavailable(f"haproxy {address}: the answer to {command!r} is larger than {_MOST_BYTES} bytes")
    except OSError as error:
        raise Unavailable(f"haproxy {address} does not answer: {error}; check the socket and its level (admin)") from error
    return b"".join(parts).decode("utf-8", "replace")


def _connected(address: str) -> socket.socket:
    if address.startswith("/"):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_TIMEOUT_S)
        connection.connect(address)
        return connection
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=_TIMEOUT_S)
