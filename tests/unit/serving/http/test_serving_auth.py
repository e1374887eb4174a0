"""Tokens: what is accepted, what is refused, with which status, and that no secret is ever repeated."""

import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from aiops.errors import ConfigurationError
from aiops.settings.serving_settings import ServingSettings
from serving.http.auth import Role, authenticator
from serving.http.loopback import is_local_peer, is_loopback
from serving.http.problem import ProblemError

KEY = "k" * 32
NOW = int(time.time())


def token(key: str = KEY, algorithm: str = "HS256", **claims: object) -> str:
    return jwt.encode({"exp": NOW + 86_400, "role": "operator"} | claims, key, algorithm)


def with_key() -> ServingSettings:
    return ServingSettings(jwt_key=SecretStr(KEY), host="0.0.0.0")


@pytest.mark.parametrize(("role", "needed"), [("viewer", Role.VIEWER), ("operator", Role.VIEWER), ("admin", Role.ADMIN)])
def test_sufficient_roles_pass(role: str, needed: Role) -> None:
    authenticator(with_key()).check(f"Bearer {token(role=role)}", needed, local=False)


@pytest.mark.parametrize(
    ("claims", "subject"),
    [
        ({"sub": "ada"}, "ada"),
        ({}, "operator without a name"),
        ({"sub": " "}, "operator without a name"),
        ({"sub": "a\nb"}, "a�b"),
    ],
)
def test_a_token_says_who_calls(claims: dict[str, str], subject: str) -> None:
    caller = authenticator(with_key()).check(f"Bearer {token(**claims)}", Role.VIEWER, local=False)
    assert (caller.subject, caller.role) == (subject, Role.OPERATOR)


def test_without_a_key_the_caller_is_local() -> None:
    assert authenticator(ServingSettings()).check(None, Role.ADMIN, local=True).subject == "local"


def test_a_lower_role_is_403() -> None:
    with pytest.raises(ProblemError) as refusal:
        authenticator(with_key()).check(f"Bearer {token(role='viewer')}", Role.OPERATOR, local=True)
    assert refusal.value.problem.status == 403
    assert "needs operator" in refusal.value.problem.detail


NONE_TOKEN = jwt.encode({"exp": NOW + 86_400, "role": "admin"}, None, "none")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {token()}",
        "Bearer a.b.c",
        f"Bearer {token(key='x' * 32)}",
        f"Bearer {token(exp=NOW - 60)}",
        f"Bearer {token(nbf=NOW + 86_400)}",
        pytest.param(f"Bearer {NONE_TOKEN}", id="unsigned"),
        f"Bearer {token(key='k' * 64, algorithm='HS512')}",
        f"Bearer {token(role='root')}",
        f"Bearer {token(role=['admin'])}",
        f"Bearer {jwt.encode({'role': 'admin'}, KEY, 'HS256')}",
        f"Bearer {jwt.encode({'exp': NOW + 86_400}, KEY, 'HS256')}",
        "Bearer " + "a" * 10_000,
    ],
)
def test_every_other_header_is_401_and_repeats_nothing(header: str | None) -> None:
    with pytest.raises(ProblemError) as refusal:
        authenticator(with_key()).check(header, Role.VIEWER, local=True)
    problem = refusal.value.problem
    assert problem.status == 401
    body = problem.to_json("id").decode()
    assert KEY not in body
    sent = (header or "").removeprefix("Bearer ")
    assert not sent or sent == "Bearer" or sent not in body


def test_a_little_clock_skew_is_forgiven() -> None:
    authenticator(with_key()).check(f"Bearer {token(exp=int(time.time()) - 2)}", Role.VIEWER, local=False)


def test_without_a_key_only_this_machine_is_answered() -> None:
    guard = authenticator(ServingSettings())
    guard.check(None, Role.ADMIN, local=True)
    with pytest.raises(ProblemError) as refusal:
        guard.check(None, Role.VIEWER, local=False)
    assert refusal.value.problem.status == 401


def test_rs256_takes_the_private_keys_tokens_and_not_ones_signed_with_the_public_key() -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    guard = authenticator(ServingSettings(jwt_algorithm="RS256", jwt_key=SecretStr(public.decode())))
    claims = {"exp": NOW + 86_400, "role": "viewer"}
    guard.check(f"Bearer {jwt.encode(claims, private, 'RS256')}", Role.VIEWER, local=False)
    with pytest.raises(ProblemError):
        guard.check(f"Bearer {jwt.encode(claims, KEY, 'HS256')}", Role.VIEWER, local=False)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (ServingSettings(host="0.0.0.0"), "serving.host = 0.0.0.0"),
        (ServingSettings(host="10.1.2.3"), "AIOPS_SERVING__JWT_KEY"),
        (ServingSettings(jwt_key=SecretStr("short-secret")), "32 bytes"),
        (ServingSettings(jwt_algorithm="RS256", jwt_key=SecretStr("no-pem-at-all" * 4)), "PEM"),
        (ServingSettings(jwt_algorithm="RS256", jwt_key=SecretStr("-----BEGIN PRIVATE KEY-----")), "private key was given"),
    ],
)
def test_unusable_settings_stop_the_start(settings: ServingSettings, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as error:
        authenticator(settings)
    if settings.jwt_key is not None:
        assert settings.jwt_key.get_secret_value() not in str(error.value)


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("localhost.evil.example", False), ("", False)],
)  # fmt: skip
def test_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local
    assert is_local_peer((host, 1)) is local


def test_a_unix_socket_is_local() -> None:
    assert is_local_peer(None)
