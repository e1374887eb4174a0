"""An HTTP call to an allowed host, with an idempotency key; whether it took effect is asked of the address that a runbook names.

Source: RFC 9110; the header Idempotency-Key of the IETF draft of that name.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import httpx
from pydantic import Field, JsonValue

from aiops.automation.action import ActionRequest, PlainMapping, PlannedStep, Risk
from aiops.errors import ContractError, StepRefused, Unavailable
from serving.automation.actions.action_parameters import Parameters, parsed
from serving.automation.actions.allowed_hosts import AllowedHosts
from serving.automation.actions.secret_references import SecretReference, Secrets
from serving.automation.actions.state_action import StateChange, compared, refuse_changed, request_of

KIND: Final = "http.call"
_TIMEOUT_S: Final = 20.0
_MOST_BYTES: Final = 1 << 20
_MOST_SHOWN: Final = 500
"""Characters of a state at most: it stands in plans and pages."""
_URL: Final = r"^https?://[^\s@]+$"
_SURELY_NOT_DONE: Final = frozenset(range(400, 500)) - {408, 409, 425, 429}


class CallParameters(Parameters):
    """`state` is read before and after: its answer, or the member `member` of it, must become `wanted`.

    `back` undoes it: the same call with another body. `token`: reference to a bearer token, sent to the host of `url` only.
    """

    url: Annotated[str, Field(pattern=_URL, max_length=2000)]
    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    body: JsonValue = None
    back: JsonValue = None
    state: Annotated[str, Field(pattern=_URL, max_length=2000)]
    member: Annotated[str, Field(max_length=500)] = ""
    wanted: str | int | float | bool
    token: SecretReference | None = None


class HttpCall:
    """Calls one address; redirects are not followed, and no other host is asked."""

    kind = KIND
    parameters = CallParameters
    risk = Risk.HIGH
    outcome = staticmethod(compared)

    def __init__(self, hosts: AllowedHosts, secrets: Secrets) -> None:
        self._hosts = hosts
        self._secrets = secrets

    def read(self, request: ActionRequest) -> PlainMapping:
        """Return what `state` answers.

        Raises:
            ContractError: a host is not allowed, or the answer has no such member.
            Unavailable: it does not answer.
        """
        parameters = self._checked(parsed(CallParameters, request))
        answer = self._send(parameters, "GET", parameters.state, None, {})
        if answer.status_code >= 300:
            raise Unavailable(f"{parameters.state} answers {answer.status_code}; a redirect is not followed")
        return {"value": _member(answer, parameters)}

    def change(self, request: ActionRequest) -> StateChange:
        """Return that `state` answers what is wanted."""
        parameters = self._checked(parsed(CallParameters, request))
        before = self.read(request)
        return StateChange(
            target=f"http {parameters.url}",
            parameters=dict(request.parameters),
            before=before,
            after={"value": parameters.wanted},
            difference=f"{parameters.member or 'state'} of {parameters.state}: {before['value']!r} → {parameters.wanted!r}",
            effect=f"{parameters.method} {parameters.url}",
            undo="" if parameters.back is None else f"{parameters.method} {parameters.url} with the body of `back`",
            risk=Risk.HIGH,
        )

    def swap(self, step: PlannedStep, into: PlainMapping, key: str) -> None:
        """Make the call where the state is still the one planned.

        Raises:
            StepRefused: the state is another one by now, or the answer says that it was not done (4xx, a redirect).
            Unavailable: no answer, or 408, 409, 425, 429 or 5xx: it may have been done.
        """
        parameters = self._checked(parsed(CallParameters, request_of(step)))
        refuse_changed(step, into, self.read(request_of(step)))
        body = parameters.body if into == step.after else parameters.back
        answer = self._send(parameters, parameters.method, parameters.url, body, {"Idempotency-Key": key})
        if 300 <= answer.status_code < 400 or answer.status_code in _SURELY_NOT_DONE:
            raise StepRefused(f"{step.target} answers {answer.status_code}: it was not done")
        if answer.status_code >= 400:
            raise Unavailable(f"{step.target} answers {answer.status_code}: whether it was done is not known")

    def _checked(self, parameters: CallParameters) -> CallParameters:
        for url in (parameters.url, parameters.state):
            self._hosts.check(url)
        return parameters

    def _send(self, parameters: CallParameters, method: str, url: str, body: JsonValue, headers: dict[str, str]) -> "_Answer":
        """Return the answer, no more of it than may be read."""
        if parameters.token is not None and _origin(url) == _origin(parameters.url):
            headers = {**headers, "Authorization": f"Bearer {self._secrets.value(parameters.token).get_secret_value()}"}
        try:
            with (
                httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False) as client,
                client.stream(method, url, json=body, headers=headers) as answer,
            ):
                return _Answer(answer.status_code, _beginning(answer))
        except httpx.HTTPError as error:
            raise Unavailable(f"{method} {url}: {type(error).__name__}; whether it was done is not known") from error


@dataclass(frozen=True, slots=True)
class _Answer:
    status_code: int
    content: bytes


def _beginning(answer: httpx.Response) -> bytes:
    """Return what was answered, up to one byte more than may be."""
    content = b""
    for part in answer.iter_bytes(65_536):
        content += part
        if len(content) > _MOST_BYTES:
            break
    return content[: _MOST_BYTES + 1]


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = httpx.URL(url)
    return parts.scheme, parts.host, parts.port


def _member(answer: _Answer, parameters: CallParameters) -> Any:
    value = _value(answer, parameters)
    if isinstance(value, str) and len(value) > _MOST_SHOWN:
        raise ContractError(
            f"with.state={parameters.state!r}: it has {len(value)} characters, at most {_MOST_SHOWN} may be; name a with.member"
        )
    return value


def _value(answer: _Answer, parameters: CallParameters) -> Any:
    if len(answer.content) > _MOST_BYTES:
        raise ContractError(f"with.state={parameters.state!r}: the answer is larger than {_MOST_BYTES} bytes")
    if not parameters.member:
        return answer.content.decode("utf-8", "replace").strip()
    try:
        value: Any = json.loads(answer.content)
    except ValueError as error:
        raise ContractError(
            f"with.state={parameters.state!r}: the answer is no JSON, so it has no member {parameters.member!r}"
        ) from error
    for name in parameters.member.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, str | int | float | bool):
        raise ContractError(f"with.member={parameters.member!r}: the answer of {parameters.state} has no plain value there")
    return value
