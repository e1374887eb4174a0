"""Settings of a Redis or Valkey server (CONFIG SET), such as maxmemory or maxclients.

The server has no compare-and-swap for them: CONFIG is allowed in no script, so one round trip lies between reading and setting.
"""

from typing import Annotated, Any, Final, cast

import redis
from pydantic import Field

from aiops.automation.action import ActionRequest, PlainMapping, PlannedStep, Risk
from aiops.errors import ContractError, StepRefused, Unavailable
from serving.automation.actions.action_parameters import PORT, Parameters, parsed, refuse_setting
from serving.automation.actions.secret_references import SecretReference, Secrets
from serving.automation.actions.state_action import StateChange, compared, refuse_changed, request_of

KIND: Final = "redis.setting"
ALLOWED: Final = frozenset(
    {
        *("maxclients", "maxmemory", "maxmemory-policy", "maxmemory-samples", "timeout", "tcp-keepalive"),
        *("slowlog-log-slower-than", "slowlog-max-len", "hz", "lazyfree-lazy-eviction", "lazyfree-lazy-expire"),
    }
)
"""Settings that may be changed: none that moves files, rights or replication."""
_TIMEOUT_S: Final = 5.0


class RedisSettingParameters(Parameters):
    """`url`: redis://HOST:PORT/DB without a password, which is `password`, a reference."""

    url: Annotated[
        str, Field(pattern=rf"^rediss?://([A-Za-z0-9_.-]+|\[[0-9a-fA-F:.]+\])(:{PORT})?(/\d{{1,4}})?$", max_length=500)
    ]
    setting: str
    value: Annotated[str, Field(min_length=1, max_length=200)]
    password: SecretReference | None = None


class RedisSetting:
    """Changes one setting of a server; it lasts until the server starts again."""

    kind = KIND
    parameters = RedisSettingParameters
    risk = Risk.LOW
    outcome = staticmethod(compared)

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def read(self, request: ActionRequest) -> PlainMapping:
        """Return the setting as the server spells it.

        Raises:
            ContractError: the server knows no such setting, or it may not be changed.
            Unavailable: the server does not answer.
        """
        return self._read(self._parameters(request))

    def change(self, request: ActionRequest) -> StateChange:
        """Return the setting with its new value; a memory size is spelled as the server does."""
        parameters = self._parameters(request)
        before = self.read(request)
        after = {"value": _spelled(parameters.setting, parameters.value)}
        return StateChange(
            target=f"redis {parameters.url} {parameters.setting}",
            parameters=dict(request.parameters),
            before=before,
            after=after,
            difference=f"{parameters.setting}: {before['value']} → {after['value']}",
            effect=f"the server goes by {parameters.setting} {after['value']} at once",
            undo=f"sets {parameters.setting} back to {before['value']}",
        )

    def swap(self, step: PlannedStep, into: PlainMapping, key: str) -> None:
        """Set the value where it is still the one planned. Between reading and setting lies one round trip.

        Raises:
            StepRefused: the value is another one by now, or the server refuses the new one.
            Unavailable: the server does not answer.
        """
        parameters = self._parameters(request_of(step))
        refuse_changed(step, into, self._read(parameters))
        try:
            with self._client(parameters) as client:
                client.config_set(parameters.setting, str(into["value"]))
        except redis.ResponseError as error:
            raise StepRefused(f"{step.target}: the server refuses {into['value']!r}: {error}") from error
        except redis.RedisError as error:
            raise Unavailable(f"{step.target}: {error}") from error

    def _parameters(self, request: ActionRequest) -> RedisSettingParameters:
        parameters = parsed(RedisSettingParameters, request)
        refuse_setting(parameters.setting, ALLOWED)
        return parameters

    def _read(self, parameters: RedisSettingParameters) -> PlainMapping:
        try:
            with self._client(parameters) as client:
                values = cast("dict[str, Any]", client.config_get(parameters.setting))
        except redis.RedisError as error:
            raise Unavailable(f"redis {parameters.url} does not answer: {error}; check address and password") from error
        if parameters.setting not in values:
            raise ContractError(f"with.setting={parameters.setting!r}: the server at {parameters.url} knows no such setting")
        return {"value": str(values[parameters.setting])}

    def _client(self, parameters: RedisSettingParameters) -> redis.Redis:
        password = self._secrets.value(parameters.password).get_secret_value() if parameters.password else None
        return redis.Redis.from_url(
            parameters.url, password=password, decode_responses=True, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
        )


_UNITS: Final = {"": 1, "b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "k": 1000, "m": 1_000_000, "g": 1_000_000_000}


def _spelled(setting: str, value: str) -> str:
    """Return a value as CONFIG GET gives it: a memory size in bytes, numbers without leading zeros, words in small letters.

    >>> _spelled("maxmemory", "64mb"), _spelled("maxclients", "0900"), _spelled("lazyfree-lazy-expire", "Yes")
    ('67108864', '900', 'yes')
    """
    lower = value.lower()
    if setting != "maxmemory":
        return str(int(lower)) if lower.isascii() and lower.isdigit() else lower
    digits = lower.rstrip("kmgb")
    unit = lower[len(digits) :]
    return str(int(digits) * _UNITS[unit]) if digits.isascii() and digits.isdigit() and unit in _UNITS else value
