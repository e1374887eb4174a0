"""The sign of a rule of masking matches wherever the rule does, so that nothing is masked less than by the rules themselves."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given
from hypothesis import strategies as st

from data_contracts.values.mask_rules import RULES

NAMES = (
    *("password", "Passwd", "kennwort", "user_pass", "userPw", "client.secret", "x-api-key", "api key", "authToken"),
    *("JSESSIONID", "sess_key", "amz-signature", "Authorization", "set-cookie", "creds", "signing_key_hash"),
)
JOINTS = (
    *("=", ": ", " => ", ":=", "%3d", '":"', '\\":\\"', "' : '", ">", " id='x'>", '" value="', ": >-\n  ", '=["', "'] = '"),
    *('","', "', '", " ", "\t", '="', "='", ": Bearer ", ': [\\"Digest '),
)
VALUES = ("hunter2", "x9", "dXNlcjpwYXNzd29yZA==", "a b c", "4111 1111 1111 1111", "é§", "", "***", "10.0.0.1", "words")
AROUND = (
    *(
        "<",
        "--",
        "-",
        "?",
        "&",
        "run ",
        ' ["',
        "(",
        "\n",
        '{"',
        '{\\"',
        "curl -u ",
        "mysql -u root ",
        "mariadb-dump -p",
        "sshpass -p ",
    ),
    *(
        "IDENTIFIED BY '",
        "https://u:",
        "@host",
        "; sig=",
        "&sig=",
        "AKIAABCDEFGHIJKLMNOP",
        "ghp_" + "a" * 36,
        "SG." + "a" * 12 + ".",
    ),
    *("-----BEGIN RSA PRIVATE KEY-----", "key: ", 'name="', "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0", "</", '"}', "']", ", "),
)
TEXTS = st.lists(st.sampled_from([*NAMES, *JOINTS, *VALUES, *AROUND]), min_size=1, max_size=9).map("".join)
SIGNED = [rule for group in RULES.values() for rule in group if rule.sign]


def matching(texts: "pa.Array[Any]", expression: str) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    matches: Any = pc.match_substring_regex(texts, expression)
    return np.asarray(matches, np.bool_)


@given(st.lists(TEXTS, min_size=20, max_size=60))
def test_a_sign_matches_wherever_its_rule_does(texts: list[str]) -> None:
    column = pa.array(texts, pa.string())
    for rule in SIGNED:
        missed = matching(column, rule.pattern) & ~matching(column, rule.sign)
        assert not missed.any(), (rule.name, [text for text, is_missed in zip(texts, missed, strict=True) if is_missed])


def test_every_signed_rule_matches_some_of_such_texts() -> None:
    """The control: without it the property above could hold of nothing."""
    random = np.random.default_rng(5)
    parts = [*NAMES, *JOINTS, *VALUES, *AROUND]
    texts = ["".join(random.choice(parts, random.integers(2, 9))) for _ in range(60_000)]
    texts += [
        '<input name="password" value="x9">',
        "a=b&token%3dx9&",
        "mysql -u root -phunter2",
        '{\\\\\\"password\\\\\\":\\\\\\"x9\\\\\\"}',
    ]
    column = pa.array(texts, pa.string())
    hits = Counter({number: int(matching(column, rule.pattern).sum()) for number, rule in enumerate(SIGNED)})
    assert [SIGNED[number].name for number in range(len(SIGNED)) if not hits[number]] == []
