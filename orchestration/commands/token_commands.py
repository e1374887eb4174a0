"""The commands of tokens: `aiops tokens make`, `list`, `revoke`; processes that run honour them at the next call."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from orchestration.commands.options import ActedBy, AsJson
from orchestration.console import print_json, print_table

if TYPE_CHECKING:
    from aiops.settings.tree import Settings
    from orchestration.commands.incident_access import IncidentWork
    from serving.http.token_list import IssuedToken

tokens_app = typer.Typer(help="Tokens for callers: make, list, revoke.", no_args_is_help=True)
COLUMNS: Final = ("id", "name", "role", "tenants", "made", "by", "until", "state")


class RoleName(StrEnum):
    """What a token lets its holder do."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


Name = Annotated[str, typer.Argument(help="who or what will hold it; written where it acts")]
OfRole = Annotated[RoleName, typer.Option("--role", help="what it lets its holder do")]
Tenants = Annotated[
    list[str] | None, typer.Option("--tenant", help="for whom; repeatable, '*' = all; default: the settings' tenant")
]
Lasts = Annotated[str, typer.Option("--for", help="how long it holds: 12h, 90d")]
Which = Annotated[str, typer.Argument(help="id, a unique beginning of it, or the name")]


def register(root: typer.Typer) -> None:
    """Add the commands to `root`."""
    root.add_typer(tokens_app, name="tokens")


@tokens_app.command("make")
def make(
    name: Name,
    role: OfRole = RoleName.VIEWER,
    tenant: Tenants = None,
    lasts: Lasts = "90d",
    by: ActedBy = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it, this once: it is not kept."""
    import secrets

    from orchestration.commands.incident_access import IncidentWork, somebody
    from orchestration.commands.silence_commands import duration
    from serving.http.auth import signed
    from serving.http.token_list import OWN, IssuedToken, TokenList

    at, who = datetime.now(UTC).replace(microsecond=0), somebody(by)
    until = at + duration("--for", lasts)
    with IncidentWork.opened() as work:
        settings = work.settings
        key = _signing_key(settings)
        tenants = _tenants(tenant, settings.tenant)
        token = IssuedToken(OWN + secrets.token_hex(6), _named(name), str(role), tenants, at, who, until)
        _audit(work, at, who, "token_made", token)
        TokenList(settings.tokens_path).add(token)
    secret = signed(token, key)
    if as_json:
        print_json({"token": secret, **_line(token, at)})
        return
    typer.echo(f"{token.token_id} for {token.name}: {token.role} until {until:%Y-%m-%d %H:%M} UTC. Shown this once:", err=True)
    typer.echo(secret)


@tokens_app.command("list")
def list_tokens(as_json: AsJson = False) -> None:
    """List the tokens that were made or revoked here, the newest first; the tokens themselves are not kept."""
    from orchestration.workspace.current_settings import settings_in_force
    from serving.http.token_list import TokenList

    now = datetime.now(UTC)
    known = sorted(TokenList(settings_in_force().tokens_path).tokens().values(), key=lambda token: token.made_at, reverse=True)
    lines = [_line(token, now) for token in known]
    if as_json:
        print_json(lines)
        return
    print_table("Tokens", COLUMNS, [tuple(line.values()) for line in lines])


@tokens_app.command("revoke")
def revoke(which: Which, by: ActedBy = None, as_json: AsJson = False) -> None:
    """Revoke a token: from its next call on it is refused. One that another made with the key is revoked by its claim jti."""
    from aiops.errors import Unavailable
    from orchestration.commands.incident_access import IncidentWork, somebody
    from orchestration.workspace.current_settings import settings_in_force
    from serving.http.token_list import TokenList

    at, who = datetime.now(UTC).replace(microsecond=0), somebody(by)
    token = TokenList(settings_in_force().tokens_path).revoke(which, at, who)
    try:
        with IncidentWork.opened() as work:
            _audit(work, at, who, "token_revoked", token)
    except Unavailable as error:
        raise Unavailable(f"{token.token_id} is revoked, but the audit log lacks it: {error}") from error
    print_json(_line(token, at)) if as_json else typer.echo(f"{token.token_id}: revoked.")


def _signing_key(settings: "Settings") -> str:
    from aiops.errors import ConfigurationError

    serving = settings.serving
    if serving.jwt_key is None:
        raise ConfigurationError(
            "serving.jwt_key is not set: the suite asks for no tokens. Set AIOPS_SERVING__JWT_KEY (`openssl rand -hex 32`) for "
            "all its processes, then make tokens."
        )
    if serving.jwt_algorithm != "HS256":
        raise ConfigurationError(
            f"serving.jwt_algorithm = {serving.jwt_algorithm}: tokens are signed by whoever has the private key; here they "
            "are revoked, by their claim jti."
        )
    from serving.http.auth import authenticator

    return authenticator(serving).key or ""


def _tenants(given: list[str] | None, otherwise: str) -> tuple[str, ...]:
    from data_contracts.series.tenant import checked_tenant

    return tuple("*" if name == "*" else checked_tenant(name) for name in given or [otherwise])


def _named(name: str) -> str:
    from aiops.errors import ConfigurationError

    if not name.strip() or not name.isprintable() or len(name) > 100:
        raise ConfigurationError("a token's name has 1 to 100 printable characters: it is written where the token acts")
    return name.strip()


def _audit(work: "IncidentWork", at: datetime, by: str, what: str, token: "IssuedToken") -> None:
    detail = {"name": token.name, "role": token.role, "tenants": list(token.tenants), "until": token.expires_at.isoformat()}
    with work.store.writing() as writer:
        writer.audit(at, by, what, token.token_id, detail)


def _line(token: "IssuedToken", now: datetime) -> dict[str, object]:
    """Return a token as a line of the list, in the order of `COLUMNS`."""
    over = "expired" if token.expires_at <= now else "holds"
    state = f"revoked by {token.revoked_by}" if token.revoked_at else over
    return {
        "id": token.token_id,
        "name": token.name,
        "role": token.role,
        "tenants": ", ".join(token.tenants),
        "made_at": token.made_at,
        "made_by": token.made_by,
        "expires_at": token.expires_at,
        "state": state,
    }
