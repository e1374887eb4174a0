"""Links that approve one plan once: signed, bound to plan, fingerprint, tenant, channel and expiry. Who has one may use it.

Source: RFC 2104 (HMAC).
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from aiops.automation.plan import Plan
from aiops.errors import ConfigurationError
from serving.automation.ledger.run_records import LinkUse
from serving.http.problem import Problem, ProblemError

LEAST_BYTES: Final = 32
MOST_CHARACTERS: Final = 2000
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class LinkClaims:
    """What a checked link says: whose plan, which one, and to which channel it was sent."""

    tenant: str
    channel: str
    use: LinkUse


class ApprovalLinks:
    """Makes and checks links with one key."""

    def __init__(self, key: str, base_url: str) -> None:
        """Check the key.

        Raises:
            ConfigurationError: it is too short.
        """
        if len(key.encode()) < LEAST_BYTES:
            rule = f"needs {LEAST_BYTES} bytes or more, this one has {len(key.encode())}"
            raise ConfigurationError(f"automation.link_key: {rule}. Generate one with `openssl rand -hex 32`.")
        self._key = key.encode()
        self._base_url = base_url.rstrip("/")

    def url_of(self, plan: Plan, tenant: str, channel: str) -> str:
        """Return the address that opens the page of a plan."""
        content = [_VERSION, tenant, plan.plan_id, plan.fingerprint, int(plan.expires_at.timestamp()), channel]
        body = urlsafe_b64encode(msgspec.json.encode(content)).decode().rstrip("=")
        return f"{self._base_url}/approve/{body}.{self._digest(body)}"

    def checked(self, token: str) -> LinkClaims:
        """Return what a link says.

        Raises:
            ProblemError: 403, it was not signed with this key, or it is damaged.
        """
        body, _, digest = token.partition(".")
        if len(token) > MOST_CHARACTERS or not hmac.compare_digest(digest.encode(), self._digest(body).encode()):
            raise _refused("is not signed with this service's key, or was changed or cut")
        try:
            content = msgspec.json.decode(
                urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=tuple[int, str, str, str, int, str]
            )
        except (ValueError, msgspec.MsgspecError) as error:
            raise _refused("is of another release") from error
        _, tenant, plan_id, fingerprint, expires_s, channel = content
        link_id = hashlib.sha256(body.encode()).hexdigest()[:32]
        use = LinkUse(link_id, plan_id, fingerprint, datetime.fromtimestamp(expires_s, tz=UTC))
        return LinkClaims(tenant, channel, use)

    def _digest(self, body: str) -> str:
        return hmac.new(self._key, b"approve." + body.encode(), hashlib.sha256).hexdigest()


def _refused(rule: str) -> ProblemError:
    fix = "open the link as it was sent, or look at the plan with `aiops plans show`"
    return ProblemError(Problem(403, "link", f"link: {rule}. {fix[:1].upper()}{fix[1:]}.", "link", "", rule, fix))
