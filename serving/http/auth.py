"""Who may call, and for whom: tokens with a role and tenants; required unless only loopback is listened on without a key."""

import logging
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import jwt

from aiops.errors import ConfigurationError, Unavailable
from aiops.settings.serving_settings import ServingSettings
from serving.host.log_rate_limit import LineLimit
from serving.http.loopback import is_loopback
from serving.http.problem import Problem, ProblemError, shown
from serving.http.request_tenant import EVERY_TENANT, ONLY_DEFAULT, TenantScope, scope_of_claim
from serving.http.token_list import IssuedToken, TokenList

LEEWAY_S: Final = 10
_HS256_BYTES: Final = 32
_lines = LineLimit(logging.getLogger(__name__))
_MAX_TOKEN_CHARACTERS: Final = 8192
_FIX: Final = "send 'Authorization: Bearer <JWT>' with claims exp and role, signed with the service's key"


class Role(IntEnum):
    """Roles in ascending order; a higher one may do all that a lower one may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


_ROLES: Final = {"viewer": Role.VIEWER, "operator": Role.OPERATOR, "admin": Role.ADMIN}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: `subject` is the token's claim sub ("operator without a name" where it has none), "local" without a token.

    `tenants`: for whom they may act, by the claim tenants.
    """

    subject: str
    role: Role
    tenants: TenantScope = ONLY_DEFAULT


LOCAL: Final = Caller("local", Role.ADMIN, EVERY_TENANT)


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Checks tokens with one pinned algorithm and one key; `key` None = only callers on this machine, without a token.

    `tokens`: those that were made or revoked here.
    """

    algorithm: str
    key: str | None
    tokens: TokenList | None = None

    def check(self, authorization: str | None, needed: Role, local: bool) -> Caller:
        """Return who calls when they may act as `needed`; `local` = the connection comes from this machine.

        Raises:
            ProblemError: 401 (no, malformed, expired, revoked or wrongly signed token), 403 (role too low) or 503 (the list of
                tokens cannot be read).
        """
        if self.key is None:
            if not local:
                raise _unauthenticated("the service has no JWT key and so answers callers on its own machine only")
            return LOCAL
        claims = self._claims(authorization)
        self._check_listed(claims.get("jti"))
        role = self._role(claims)
        if role < needed:
            detail = f"role = {role.name.lower()}: this call needs {needed.name.lower()} or more."
            raise ProblemError(Problem(403, "forbidden", detail, "role", role.name.lower(), f"at least {needed.name.lower()}"))
        tenants = scope_of_claim(claims.get("tenants"))
        if tenants is None:
            raise _unauthenticated("the claim tenants is not a list of names")
        return Caller(_subject(claims) or f"{role.name.lower()} without a name", role, tenants)

    def end_of(self, authorization: str | None) -> int | None:
        """Return until when a token holds (seconds since 1970), None where no token is needed.

        Raises:
            ProblemError: 401, the token holds no more.
        """
        return None if self.key is None else int(self._claims(authorization)["exp"])

    def _claims(self, authorization: str | None) -> dict[str, Any]:
        scheme, _, token = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip() or len(token) > _MAX_TOKEN_CHARACTERS:
            raise _unauthenticated("the header is missing or is not a bearer token")
        try:
            return jwt.decode(
                token.strip(),
                self.key or "",
                algorithms=[self.algorithm],
                leeway=LEEWAY_S,
                options={"require": ["exp", "role"], "verify_aud": False},
            )
        except jwt.ExpiredSignatureError as error:
            raise _unauthenticated("the token has expired") from error
        except jwt.MissingRequiredClaimError as error:
            raise _unauthenticated(f"the token lacks the claim {error.claim}") from error
        except jwt.PyJWTError as error:
            raise _unauthenticated("the token is malformed, not valid yet or not signed with the service's key") from error

    def _check_listed(self, token_id: object) -> None:
        if self.tokens is None or token_id is None:
            return
        if not isinstance(token_id, str):
            raise _unauthenticated("the claim jti is not a text")
        try:
            fault = self.tokens.fault(token_id)
        except Unavailable as error:
            _lines.warn("tokens", str(error))
            detail = "authorization: the list of tokens cannot be read, so nobody can say whether this one is revoked."
            raise ProblemError(Problem(503, "tokens-unreadable", detail, "authorization")) from error
        if fault:
            raise _unauthenticated(fault)

    @staticmethod
    def _role(claims: dict[str, Any]) -> Role:
        claim = claims["role"]
        role = _ROLES.get(claim) if isinstance(claim, str) else None
        if role is None:
            raise _unauthenticated("the claim role is none of viewer, operator, admin")
        return role


def _subject(claims: dict[str, Any]) -> str:
    given = claims.get("sub")
    return shown(given.strip()) if isinstance(given, str) else ""


def authenticator(
    settings: ServingSettings, tokens: Path | None = None, host: str | None = None, setting: str = "serving.host"
) -> Authenticator:
    """Build the authenticator of the settings; `host` = where else the caller listens, by which `setting`.

    `tokens`: file of the tokens that were made or revoked here; None = none were.

    Raises:
        ConfigurationError: no key although the service listens beyond loopback, or a key that cannot be used.
    """
    secret = settings.jwt_key.get_secret_value() if settings.jwt_key is not None else None
    if secret is None:
        address = settings.host if host is None else host
        if not is_loopback(address):
            raise ConfigurationError(
                f"{setting} = {address}: anything but loopback needs serving.jwt_key. "
                "Set AIOPS_SERVING__JWT_KEY, or bind to 127.0.0.1."
            )
        return Authenticator(settings.jwt_algorithm, None)
    if settings.jwt_algorithm == "HS256":
        if len(secret.encode()) < _HS256_BYTES:
            raise ConfigurationError(
                f"serving.jwt_key: an HS256 secret needs {_HS256_BYTES} bytes or more, this one has {len(secret.encode())}. "
                "Generate one with `openssl rand -hex 32`."
            )
    else:
        _check_public_key(secret)
    return Authenticator(settings.jwt_algorithm, secret, None if tokens is None else TokenList(tokens))


def signed(token: IssuedToken, key: str) -> str:
    """Return the token itself (JWT, HS256)."""
    claims = {"sub": token.name, "role": token.role, "tenants": list(token.tenants), "jti": token.token_id}
    return jwt.encode({**claims, "iat": token.made_at, "exp": token.expires_at}, key, "HS256")


def _check_public_key(pem: str) -> None:
    fix = "Give the public key in PEM form (-----BEGIN PUBLIC KEY-----)."
    if "PRIVATE KEY" in pem:
        raise ConfigurationError(f"serving.jwt_key: RS256 verifies with the public key, but a private key was given. {fix}")
    try:
        jwt.get_algorithm_by_name("RS256").prepare_key(pem)
    except (ValueError, TypeError, jwt.PyJWTError) as error:
        raise ConfigurationError(f"serving.jwt_key: not an RSA public key. {fix}") from error


def _unauthenticated(why: str) -> ProblemError:
    return ProblemError(Problem(401, "unauthenticated", f"authorization: {why}. {_FIX}.", "authorization", "", why, _FIX))
