"""Plain values to JSON text and back. Incidents, reports, verdicts and suppression rules are stored as one document each."""

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, TypeVar

import msgspec

from aiops.errors import StateError
from aiops.incidents.alert import Alert, alert_of_plain, plain_alert

Value = TypeVar("Value")

_ORDERED: Final = msgspec.json.Encoder(order="deterministic")
_ANY: Final = msgspec.json.Decoder()


def text_of(value: object) -> str:
    """Return a dataclass, or plain data, as JSON in which no number is NaN or infinite."""
    return msgspec.json.encode(value).decode()


def text_of_numbers(value: object) -> str:
    """Return as `text_of`, but numbers that are not finite stay what they are, as text ("nan")."""
    return msgspec.json.encode(_spelled(msgspec.to_builtins(value))).decode()


def canonical(value: object) -> str:
    """Return JSON with ordered keys: equal values give equal text."""
    return _ORDERED.encode(_spelled(msgspec.to_builtins(value))).decode()


def value_of(kind: type[Value], text: str) -> Value:
    """Return the dataclass that a document holds.

    Raises:
        StateError: the document is damaged, or of another version.
    """
    try:
        return msgspec.json.decode(text, type=kind, strict=False)
    except msgspec.MsgspecError as error:
        raise StateError(
            f"incident store: document of kind={kind.__name__} cannot be read ({error}); restore the database from a backup"
        ) from error


def plain_of(text: str) -> Any:
    """Return plain data of JSON text."""
    return _ANY.decode(text)


def mapping_of(text: str) -> Mapping[str, Any]:
    """Return a JSON object."""
    mapping: dict[str, Any] = _ANY.decode(text)
    return mapping


def alert_text(alert: Alert) -> str:
    """Return an alert as JSON."""
    return msgspec.json.encode(plain_alert(alert)).decode()


def alert_of(text: str) -> Alert:
    """Return the alert of JSON text."""
    return alert_of_plain(_ANY.decode(text))


def _spelled(plain: Any) -> Any:
    if isinstance(plain, float):
        return plain if isfinite(plain) else str(plain)
    if isinstance(plain, dict):
        return {key: _spelled(value) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [_spelled(value) for value in plain]
    return plain
