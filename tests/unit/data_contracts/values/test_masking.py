"""Secrets and personal data in texts: what is masked, what is not, and that JSON stays JSON."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_contracts.values.masking import RULES, MaskError, Masks

ALL = Masks.of([group for group in RULES if group != "ip"], {})


def masked(text: str, masks: Masks = ALL) -> str:
    return str(masks.applied(pa.array([text])).column[0].as_py())


@pytest.mark.parametrize(
    ("text", "secret", "kept"),
    [
        ("login of bob.o'neil@shop.example.com failed", "neil@shop", "failed"),
        ("GET https://user:p4ss-w0rd@host:8443/x?y=1", "p4ss", "@host:8443/x?y=1"),
        ("Authorization: Bearer abcdefghijkl.mnop", "abcdefghijkl", "Authorization: Bearer"),
        ("retry with password=hunter2, then stop", "hunter2", ", then stop"),
        ("secret => 'two words'; next", "two words", "; next"),
        ("pwd: x9", "x9", "pwd: "),
        ("client_secret_key=abc rest", "abc", "rest"),
        ("card 4111 1111 1111 1111 was used", "1111", "was used"),
        ("transfer to DE89 3704 0044 0532 0130 00 done", "0532", "done"),
        ("key AKIAABCDEFGHIJKLMNOP in use", "AKIAABCDEFGHIJKLMNOP", "in use"),
        ("t eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0aaaa.c2ln end", "eyJzdWIi", "end"),
        ("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nb", "MIIE", "\nb"),
        ("cut -----BEGIN PRIVATE KEY-----\nMIIE and no end", "MIIE", "cut "),
    ],
)
def test_a_secret_is_hidden_and_what_stands_around_it_stays(text: str, secret: str, kept: str) -> None:
    hidden = masked(text)
    assert secret in text
    assert secret not in hidden
    assert kept in hidden
    assert "[masked:" in hidden


@pytest.mark.parametrize(
    "text",
    [
        "total_tokens: 512 of 4096",
        "order 4111111111111112 shipped",  # not a card's sum
        "at 1760000000000000 us, trace 4bf92f3577b34da6a3ce929d0e0e4736",
        "AB12 CDEF GHIJ KLMN",  # not an account's check digits
        "password is wrong",
        "user@localhost logged in from 10.0.0.1",
        "",
    ],
)
def test_what_only_looks_like_one_stays(text: str) -> None:
    assert masked(text) == text


def test_addresses_are_masked_where_asked_for() -> None:
    assert masked("from 10.0.0.1 to 999.1.1.1", Masks.of(["ip"], {})) == "from [masked:ip] to 999.1.1.1"


@given(
    st.dictionaries(
        st.sampled_from(["password", "db.password", "api-key", "note", "http.request.header.cookie", "tokens"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.emails() | st.just('{"token": "a b", "pwd":7}'),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "secret"]), inner, max_size=2),
            max_leaves=4,
        ),
    )
)
def test_attributes_stay_json(attributes: dict[str, object]) -> None:
    json.loads(masked(json.dumps(attributes)))
    json.loads(masked(json.dumps(attributes, ensure_ascii=False, separators=(",", ":"))))


def test_values_under_a_secret_name_are_hidden_in_json_of_any_kind() -> None:
    given_attributes = {"db.password": 'a"b', "token": 12, "pwd": True, "inner": '{"password": "x y"}', "list": "q"}
    read = json.loads(masked(json.dumps(given_attributes)))
    assert read.pop("list") == "q"
    assert json.loads(read.pop("inner"))["password"].startswith("[masked:")
    assert all(str(value).startswith("[masked:") for value in read.values())


def test_masking_again_changes_nothing_and_counts_texts_by_rule() -> None:
    texts = pa.array(["password=a1 bob@example.com", None, "pwd=b2", "nothing"])
    once = ALL.applied(texts)
    assert dict(once.counts) == {"named_secret": 2, "email": 1}
    again = ALL.applied(once.column)
    assert again.column.equals(once.column)
    assert not again.counts


def test_own_patterns_are_masked_by_their_name() -> None:
    assert masked("seen E123456 and E12", Masks.of([], {"employee": r"\bE[0-9]{6}\b"})) == "seen [masked:employee] and E12"


@pytest.mark.parametrize(
    ("groups", "patterns", "words"),
    [
        (["secret"], {}, "'secret' is no group of rules; they are secrets, email"),
        ([], {"Employee": "E"}, "'Employee' is no name of a pattern"),
        ([], {"own": "("}, "own: '\\(' is no regular expression of RE2"),
        ([], {"own": "(?=x)"}, "own: .* is no regular expression of RE2"),
        ([], {"own": "x*"}, "own: .* matches the empty text"),
    ],
)
def test_what_is_no_rule_is_refused_by_name(groups: list[str], patterns: dict[str, str], words: str) -> None:
    with pytest.raises(MaskError, match=words):
        Masks.of(groups, patterns)
