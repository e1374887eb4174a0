"""Signatures of webhooks, in and out: HMAC-SHA256 of the time and the body, so that neither can be changed or sent again later.

Source: RFC 2104 (HMAC); the timestamp inside the signed text follows the practice of Stripe's and Slack's signed webhooks.
"""

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Final

from serving.http.problem import Problem, ProblemError, shown

TIMESTAMP_HEADER: Final = "x-aiops-timestamp"
SIGNATURE_HEADER: Final = "x-aiops-signature"
REPLAY_S: Final = 300
"""How far the signed time may lie from the receiver's, in seconds."""

_PREFIX: Final = "sha256="
_MOST_DIGITS: Final = 12


def signed_headers(secret: str, body: bytes, at: datetime) -> dict[str, str]:
    """Return the headers that sign a body at a time."""
    timestamp = str(int(at.timestamp()))
    return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: _PREFIX + _digest(secret, timestamp, body)}


def check_signature(secret: str, body: bytes, timestamp: str | None, signature: str | None, now: datetime) -> datetime:
    """Return the time that was signed.

    Raises:
        ProblemError: 401, a header is missing or malformed, the signature is of another body or secret, or it is too old.
    """
    signed_at = (timestamp or "").strip()
    if not (signed_at.isascii() and signed_at.isdecimal() and len(signed_at) <= _MOST_DIGITS):
        raise _refused(TIMESTAMP_HEADER, signed_at, "must be seconds since 1970 (UTC) as an integer")
    given = (signature or "").strip().lower()
    expected = _PREFIX + _digest(secret, signed_at, body)
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise _refused(SIGNATURE_HEADER, "", "is not the signature of this timestamp and body with this source's secret")
    if abs(now.timestamp() - int(signed_at)) > REPLAY_S:
        raise _refused(TIMESTAMP_HEADER, signed_at, f"lies more than {REPLAY_S} s from this machine's time")
    return datetime.fromtimestamp(int(signed_at), tz=UTC)


def _digest(secret: str, timestamp: str, body: bytes) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _refused(header: str, value: str, rule: str) -> ProblemError:
    text = shown(value)
    fix = f"send {TIMESTAMP_HEADER} and {SIGNATURE_HEADER}: sha256=HEX, HMAC-SHA256 of 'TIMESTAMP.BODY', and check the clocks"
    return ProblemError(Problem(401, "unsigned", f"{header}: {rule}. {fix}.", header, text, rule, fix))
