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
        "login failed (password expired)",
        "refused (token missing) for session.id=4f1b2c9d",
        '{"session.id":"4f1b2c9d8e7a"}',
        "user@localhost logged in from 10.0.0.1",
        "",
    ],
)
def test_what_only_looks_like_one_stays(text: str) -> None:
    assert masked(text) == text


def test_addresses_are_masked_where_asked_for() -> None:
    assert masked("from 10.0.0.1 to 999.1.1.1", Masks.of(["ip"], {})) == "from [masked:ip] to 999.1.1.1"


@pytest.mark.parametrize(
    "text",
    [
        # names
        "Cookie: theme=dark; sid=§",
        "Set-Cookie: theme=dark; sid=§; Path=/",
        "sessionId: §",
        "JSESSIONID=§",
        "Authorization: Token §",
        "Authorization: ApiKey §",
        'Authorization: Digest username="bob", response="§"',
        '{"http.request.header.authorization":["§"]}',
        "DB_PASS=§",
        "pass=§",
        "login as bob (password §) failed",
        "session_id=§",
        "pw=§",
        "userPass=§",
        "encryption_key=§",
        "api.key=§",
        "api key: §",
        "passwords: §",
        "tokens=§",
        "AWS_SECRET_ACCESS_KEY=§",
        "a\npassword: letters§",
        # commands, statements, markup
        "curl -u admin:§ https://host",
        "run --password § now",
        "run --token=§",
        "mysql -p§ shop",
        "mysql -u root -p§",
        '["--password","§"]',
        'exec ["--password", "§"] failed',
        '["-u","admin:§"]',
        "<password>§</password>",
        '<input name="password" value="§">',
        "CREATE USER x IDENTIFIED BY '§'",
        "ALTER ROLE x WITH PASSWORD '§'",
        '{"key":"password","value":{"stringValue":"§"}}',
        "[('Cookie', 'sid=§')]",
        '{"headers":[["Cookie","sid=§"]]}',
        "map[password:§ user:bob]",
        "redirect=%2F%3Ftoken%3D§%26x",
        'IDENTIFIED BY "§"',
        "SET PASSWORD FOR 'x' = PASSWORD('§')",
        '{"a":"password=§","a":"x"}',
        '{"a":' * 90 + '{"password":"§"}' + "}" * 90,
        "[" * 300 + '"password=§"' + "]" * 300,
        # forms
        "https://hooks.slack.com/services/T0AB/B0CD/§",
        "https://x.blob.core.windows.net/c?sv=1&sig=§",
        "https://bucket.s3.amazonaws.com/x?X-Amz-Signature=§&a=b",
        "DefaultEndpointsProtocol=https;AccountKey=§;EndpointSuffix=x",
        "sk-proj-abcdefghij§",
        "sk-ant-api03-abcdefghij§",
        "SG.abcdefghijklmnop.abcdefghijk§",
        "npm_abcdefghijklmnopqrstuvwxyz§",
        "hf_abcdefghijklmnopqrstuvwxyz§",
        "dckr_pat_abcdefghijklmnop§",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n§\n-----END PGP PRIVATE KEY BLOCK-----",
        # to the end of the value
        "password=ab,§",
        "password=ab;§",
        "password=ab&§",
        "password=ab\\§",
        "password='it\\'s §'",
        "postgres://u:p@§@host/shop",
        "postgres://u:pa/§@host",
        "postgres://u:§@host?mail=a@b",
        "redis://:§@host",
        '{"cookie":["a=x","b=§"]}',
        '{"passwords":["a","§"]',
        "password: >-\n  first\n  §\nuser: bob",
        '{"a":"{\\"password\\":\\"x\\\\\\"§\\"}"}',
        'got {\\"password\\":\\"x\\\\\\"§\\"} here',
        # cut before the quote closes
        'password="abc §',
        '{"password":"abc §',
        "password: 'abc §",
        'got \\"token\\": \\"abc §',
        # escapes of JSON
        '{"message":"first\\nBearer §abcdefgh"}',
        '{"url":"a=b\\u0026token=§"}',
        '{"note":"password\\u003d§"}',
        '{"note":"pwd=\\u00e9§"}',
        '{"note":"first\\tBearer §abcdefgh"}',
        '{"note":"C:\\\\name=\\"password\\" value=\\"§\\""}',
    ],
)
def test_a_secret_by_its_name_or_form_is_hidden_to_its_end(text: str) -> None:
    secret = "S3cr3tXy"
    hidden = masked(text.replace("§", secret))
    assert secret not in hidden
    assert "[masked:" in hidden
    assert masked(hidden) == hidden


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://host/?a=b&token=S3cr3tXy&page=3#top", "https://host/?a=b&token=[masked:query_secret]&page=3#top"),
        ("password=S3cr3tXy&page=3 next", "password=[masked:named_secret] next"),
        ("postgres://u:p@ss@host/shop", "postgres://u:[masked:url_password]@host/shop"),
        ("password: >-\n  S3cr3tXy\nuser: bob", "password: >-\n[masked:named_secret]\nuser: bob"),
        ("card number 4111111111111111", "card number [masked:card]"),
        ("mail of bob@example.com: failed", "mail of [masked:email]: failed"),
    ],
)
def test_the_mask_ends_where_the_secret_does(text: str, kept: str) -> None:
    assert masked(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "Basic authentication failed",
        "Digest mismatch",
        "Bearer certificate expired",
        "Authorization: failed",
        "Started getty@tty1.service",
        "installed lodash@4.17.21.tgz",
        "cloning git@github.com:shop/cart.git",
        "git@github.com:",
        "Unexpected token: ILLEGAL",
        "Unexpected token: '}'",
        "Secret: not found",
        "cookie: not found",
        "Invalid password: must be longer than 8 characters",
        "use --password to set it",
        "input_token: 37",
        "next_token=3",
        "hasPassword=false",
        "bypass=north",
        "if (token == null)",
        "password:\nuser=bob",
        "http://a.b:80?u=x@y.z",
        "http://a.b:80/img/x@2y",
        "offset 4539578763621486",
        "x-44D7-B93B-DE89370400440532013000",
        "docker run -u 1000:1000 image",
        'volume "default-token" : failed to sync secret',
        'secret "default/token-abc12" not found',
        "the non-secret abc123 stays",
        '{"missing":["password","username"],"command":["--user","1000:1000"]}',
        "Failed password for invalid user bob from 10.0.0.1 port 22",
        '{"message":"Enter password: ","http.status_code":500}',
        '{"gen_ai.usage.input_tokens":123456,"token_type":"Bearer","hasPassword":false,"secret":null}',
    ],
)
def test_ordinary_lines_stay_to_the_letter(text: str) -> None:
    assert masked(text) == text


def test_of_a_name_that_comes_twice_both_values_are_masked() -> None:
    hidden = {"password": "[masked:secret_name]", "password'1": "[masked:secret_name]", "a": "b"}
    assert json.loads(masked('{"password":"S3cr3tXy","password":"other","a":"b"}')) == hidden
    assert masked('{"a":1,"a":2,"secret":null}') == '{"a":1,"a":2,"secret":null}'


def test_a_card_is_known_by_the_name_that_it_stands_under() -> None:
    given_text = '{"card_number":4111111111111111,"pan":"4111111111111111","offset":"4111111111111111"}'
    hidden = {"card_number": "[masked:card]", "pan": "[masked:card]", "offset": "4111111111111111"}
    assert json.loads(masked(given_text)) == hidden


def test_of_json_only_the_texts_with_a_secret_change() -> None:
    given_text = '{"message": "password=S3cr3tXy", "http.status_code": 500, "list": [1.5, null, "a@example.com"]}'
    changed = {"message": "password=[masked:named_secret]", "http.status_code": 500, "list": [1.5, None, "[masked:email]"]}
    assert json.loads(masked(given_text)) == changed
    assert json.loads(masked('{"a@example.com": 1, "b@example.com": 2}')) == {"[masked:email]": 1, "[masked:email]'1": 2}


_SECRET = "S3cr3tXy"
_SECRET_TEXTS = st.sampled_from(
    [
        f"password={_SECRET}",
        f'pwd: "a {_SECRET}',
        f"Cookie: a=b; c={_SECRET}",
        f'{{"token": "a \\"{_SECRET}", "n": 7}}',
        json.dumps([{"db.password": [_SECRET, 5]}]),
        f'got {{"token": 12, "pwd": "{_SECRET}"}}',
        f"line\n\tsecret => '{_SECRET}",
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8) | st.emails() | _SECRET_TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
        | st.dictionaries(st.sampled_from(["secret", "db.password", "Set-Cookie"]), st.just(_SECRET), max_size=2)
        | st.builds(json.dumps, inner)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["note", "http.url", "exception.message"]), _VALUES))
def test_attributes_stay_json_without_secrets(attributes: dict[str, object]) -> None:
    for text in (json.dumps(attributes), json.dumps(attributes, ensure_ascii=False, separators=(",", ":"))):
        hidden = masked(text)
        assert _SECRET not in hidden
        assert _shape(json.loads(hidden)) == _shape(attributes)


def _shape(value: object) -> object:
    """Return a value with texts left out; of JSON within a text, its shape; a value under the name of a secret is a text."""
    if isinstance(value, str):
        try:
            inner = json.loads(value) if value[:1] in ("{", "[") else None
        except ValueError:
            return "text"
        return "text" if inner is None else ("JSON", _shape(inner))
    if isinstance(value, list):
        return [_shape(item) for item in value]
    if isinstance(value, dict):
        secrets = {"secret", "db.password", "Set-Cookie", "token"}
        return {name: "text" if name in secrets else _shape(item) for name, item in value.items()}
    return value


def test_values_under_a_secret_name_are_hidden_in_json_of_any_kind() -> None:
    given_attributes = {"db.password": 'a"b', "token": 12, "pwd": [1, {"a": 2}], "inner": '{"password": "x y"}', "list": "q"}
    read = json.loads(masked(json.dumps(given_attributes)))
    assert read.pop("list") == "q"
    assert json.loads(read.pop("inner"))["password"].startswith("[masked:")
    assert set(read.values()) == {"[masked:secret_name]"}


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
        ([], {"own": "\bE"}, "own: .* holds a control character: in JSON a backslash is written twice"),
        ([], {"own": "x*"}, "own: .* matches the empty text"),
    ],
)
def test_what_is_no_rule_is_refused_by_name(groups: list[str], patterns: dict[str, str], words: str) -> None:
    with pytest.raises(MaskError, match=words):
        Masks.of(groups, patterns)
