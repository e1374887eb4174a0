"""Whose data a request is about: what the header may hold, and what a token allows."""

import time

import jwt
import pytest

from serving.http.auth import LOCAL, Authenticator, Role
from serving.http.problem import ProblemError
from serving.http.request_tenant import EVERY_TENANT, ONLY_DEFAULT, TenantScope, tenant_of_request

KEY = "k" * 32


def scope_of(**claims: object) -> TenantScope:
    token = jwt.encode({"exp": int(time.time()) + 60, "role": "viewer", **claims}, KEY, "HS256")
    return Authenticator("HS256", KEY).check(f"Bearer {token}", Role.VIEWER, local=False).tenants


@pytest.mark.parametrize(
    ("claims", "allowed", "refused"),
    [
        ({}, ["default"], ["acme", "*"]),
        ({"tenants": ["acme"]}, ["acme"], ["default", "Acme", "acme2"]),
        ({"tenants": ["acme", "beta"]}, ["acme", "beta"], ["default"]),
        ({"tenants": "acme"}, ["acme"], ["default", "a"]),
        ({"tenants": []}, [], ["default"]),
        ({"tenants": ["*"]}, ["default", "acme"], []),
        ({"tenants": "*"}, ["default", "acme"], []),
    ],
)
def test_a_token_is_for_the_tenants_of_its_claim(claims: dict[str, object], allowed: list[str], refused: list[str]) -> None:
    scope = scope_of(**claims)
    assert [scope.holds(tenant) for tenant in allowed] == [True] * len(allowed)
    assert [scope.holds(tenant) for tenant in refused] == [False] * len(refused)


@pytest.mark.parametrize("claim", [5, {"acme": True}, [1], [["acme"]], True])
def test_a_claim_that_is_no_list_of_names_is_401(claim: object) -> None:
    with pytest.raises(ProblemError) as refusal:
        scope_of(tenants=claim)
    assert refusal.value.problem.status == 401
    assert "tenants" in refusal.value.problem.detail


def test_without_a_key_the_header_is_free_and_absent_means_default() -> None:
    assert tenant_of_request([], LOCAL.tenants) == "default"
    assert tenant_of_request([" acme "], LOCAL.tenants) == "acme"


@pytest.mark.parametrize("value", ["", " ", "a/b", "a|b", "*", "..", "x" * 65, "ä", "a\nb"])
def test_a_header_that_names_no_tenant_is_400(value: str) -> None:
    with pytest.raises(ProblemError) as refusal:
        tenant_of_request([value], EVERY_TENANT)
    problem = refusal.value.problem
    assert (problem.status, problem.field) == (400, "x-scope-orgid")
    assert "1 to 64" in problem.rule


def test_two_headers_are_400_and_a_tenant_beyond_the_claim_is_403() -> None:
    with pytest.raises(ProblemError) as refusal:
        tenant_of_request(["a", "a"], EVERY_TENANT)
    assert refusal.value.problem.status == 400
    with pytest.raises(ProblemError) as refusal:
        tenant_of_request(["acme"], ONLY_DEFAULT)
    assert (refusal.value.problem.status, refusal.value.problem.value) == (403, "acme")


def test_without_the_header_a_token_of_one_tenant_means_that_one() -> None:
    assert tenant_of_request([], scope_of(tenants=["acme"])) == "acme"
    assert tenant_of_request([], scope_of()) == "default"
    assert tenant_of_request([], scope_of(tenants="*")) == "default"
    with pytest.raises(ProblemError) as refusal:
        tenant_of_request([], scope_of(tenants=["acme", "beta"]))
    assert refusal.value.problem.status == 403, "which of them it is must be said"
