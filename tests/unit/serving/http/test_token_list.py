"""Tokens that were made here hold while the list says so; a list that cannot be read lets none of them in."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import jwt
import pytest
from pydantic import SecretStr

from aiops.errors import ConfigurationError, Unavailable
from aiops.settings.serving_settings import ServingSettings
from serving.http.auth import Authenticator, Role, authenticator, signed
from serving.http.problem import ProblemError
from serving.http.token_list import OWN, IssuedToken, TokenList

KEY = "k" * 32
NOW = datetime.now(UTC).replace(microsecond=0)


def token(name: str = "alertmanager", number: int = 1, days: int = 1) -> IssuedToken:
    return IssuedToken(f"{OWN}{number:012x}", name, "operator", ("acme",), NOW, "ada", NOW + timedelta(days=days))


def guard(path: Path) -> Authenticator:
    return authenticator(ServingSettings(jwt_key=SecretStr(KEY), host="0.0.0.0"), path)


def status(auth: Authenticator, secret: str) -> int:
    """Return with which status a token is refused, 200 = it is not."""
    try:
        auth.check(f"Bearer {secret}", Role.VIEWER, local=False)
    except ProblemError as refusal:
        return refusal.problem.status
    return 200


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access" / "tokens.json"


def test_a_listed_token_acts_under_its_name_for_its_tenants(path: Path) -> None:
    TokenList(path).add(token())
    caller = guard(path).check(f"Bearer {signed(token(), KEY)}", Role.OPERATOR, local=False)
    assert (caller.subject, caller.role) == ("alertmanager", Role.OPERATOR)
    assert caller.tenants.holds("acme")
    assert not caller.tenants.holds("default")


def test_a_process_that_runs_honours_what_another_made_and_revoked_at_the_next_call(path: Path) -> None:
    auth, other = guard(path), TokenList(path)
    assert status(auth, signed(token(), KEY)) == 401
    other.add(token())
    other.add(token("reader", 2))
    assert status(auth, signed(token(), KEY)) == 200
    revoked = other.revoke("alertmanager", NOW, "bob")
    assert (revoked.token_id, revoked.revoked_by) == (token().token_id, "bob")
    assert status(auth, signed(token(), KEY)) == 401
    assert status(auth, signed(token("reader", 2), KEY)) == 200


@pytest.mark.parametrize("damage", ["", "{", "[1]", "null"])
def test_a_list_that_cannot_be_read_lets_no_token_in_that_it_could_be_about(path: Path, damage: str) -> None:
    TokenList(path).add(token())
    auth = guard(path)
    assert status(auth, signed(token(), KEY)) == 200
    path.write_text(damage)
    assert status(auth, signed(token(), KEY)) == 503
    with pytest.raises(Unavailable, match="cannot be read"):
        TokenList(path).add(token(number=2))
    assert path.read_text() == damage


def test_a_list_that_is_gone_lets_no_token_in_that_was_made_here(path: Path) -> None:
    TokenList(path).add(token())
    auth = guard(path)
    assert status(auth, signed(token(), KEY)) == 200
    path.unlink()
    assert status(auth, signed(token(), KEY)) == 401


def test_a_token_of_another_maker_holds_until_its_id_is_revoked(path: Path) -> None:
    claims = {"role": "viewer", "exp": NOW + timedelta(days=1), "jti": "d3adbeef-0001"}
    secret, auth = jwt.encode(claims, KEY, "HS256"), guard(path)
    assert status(auth, secret) == 200
    TokenList(path).revoke("d3adbeef-0001", NOW, "bob")
    assert status(auth, secret) == 401
    assert status(auth, jwt.encode({**claims, "jti": 7}, KEY, "HS256")) == 401


def test_an_expired_token_is_refused_though_it_is_listed(path: Path) -> None:
    TokenList(path).add(token(days=-1))
    assert status(guard(path), signed(token(days=-1), KEY)) == 401


def test_what_is_meant_must_be_one_token(path: Path) -> None:
    known = TokenList(path)
    known.add(token())
    known.add(token(number=2))
    with pytest.raises(ConfigurationError, match="2 tokens are meant"):
        known.revoke("alertmanager", NOW, "bob")
    with pytest.raises(ConfigurationError, match="no such token"):
        known.revoke(f"{OWN}ffff", NOW, "bob")
    with pytest.raises(ConfigurationError, match="no such token"):
        known.revoke("nobody", NOW, "bob")
    assert all(entry.revoked_at is None for entry in known.tokens().values())


def test_the_first_to_revoke_is_kept(path: Path) -> None:
    known = TokenList(path)
    known.add(token())
    known.revoke(token().token_id, NOW, "bob")
    assert known.revoke(token().token_id, NOW + timedelta(hours=1), "eve").revoked_by == "bob"


def test_tokens_made_at_once_are_all_kept_and_old_ones_forgotten(path: Path) -> None:
    TokenList(path).add(token(number=99, days=-31))
    makers = [Thread(target=TokenList(path).add, args=(token(number=number),)) for number in range(20)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert set(TokenList(path).tokens()) == {token(number=number).token_id for number in range(20)}
