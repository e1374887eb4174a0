"""Secrets and personal data in texts of logs and spans are masked before anything is stored.

A rule is a regular expression of RE2, so that the time is linear in the text whatever it holds. What it matches becomes
`[masked:<rule>]`; groups named in the replacement stay. A rule may ask a check beside the form, as the sum of a card's digits: it
is made in Python, of the few texts that match.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_IBAN_LETTERS: Final = 55  # "A" is 10
_SECRET_NAMES: Final = (
    r"[\w.\-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|cookie|credentials?|(?:api|access|private|account|signing)[_\-]?key)"
    r"(?:[_\-.]?(?:key|value|hash))?"
)
_NAMED: Final = rf"(?i)({_SECRET_NAMES})(\\?[\"'])?(\s*(?:=>|[:=])\s*"
"""A name of a secret, the quote behind it (escaped within a text of JSON), and the sign before the value."""


@dataclass(frozen=True, slots=True)
class MaskRule:
    """What is masked: `pattern` matches it, `replacement` (RE2's \\1 for groups) takes its place where `check` agrees."""

    name: str
    pattern: str
    replacement: str
    check: Callable[[str], bool] | None = None


def _is_card(text: str) -> bool:
    """Return whether the digits are those of a payment card: Luhn's sum (ISO/IEC 7812-1).

    >>> _is_card("4111 1111 1111 1111"), _is_card("4111 1111 1111 1112")
    (True, False)
    """
    digits = [int(character) for character in text if character.isdigit()][::-1]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """Return whether the check digits fit (ISO 13616: the number modulo 97 is 1).

    >>> _is_iban("DE89 3704 0044 0532 0130 00"), _is_iban("DE88370400440532013000")
    (True, False)
    """
    compact = text.replace(" ", "")
    turned = compact[4:] + compact[:4]
    digits = (character if character.isdigit() else str(ord(character) - _IBAN_LETTERS) for character in turned)
    return int("".join(digits)) % 97 == 1


RULES: Final[Mapping[str, tuple[MaskRule, ...]]] = {
    "secrets": (
        MaskRule(
            "private_key",
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
            "[masked:private_key]",
        ),
        MaskRule("url_password", r"(://[^\s/:@\"']*:)[^\s/@\"']+@", r"\1[masked:url_password]@"),
        MaskRule("authorization", r"(?i)\b(bearer|basic|digest)(\s+)[A-Za-z0-9._~+/=\-]{8,}", r"\1\2[masked:authorization]"),
        MaskRule("json_token", r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*", "[masked:json_token]"),
        MaskRule(
            "provider_key",
            r"\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_\-]{20,}"
            r"|xox[abeoprs]-[A-Za-z0-9\-]{10,}|AIza[0-9A-Za-z_\-]{35}|[rs]k_live_[0-9A-Za-z]{16,})",
            "[masked:provider_key]",
        ),
        MaskRule(
            "quoted_secret",
            _NAMED + r"""\[?)(?:(\\")(?:[^"\\]|\\[^"])*\\"|(")(?:[^"\\]|\\.)*"|(')[^']*')""",
            r"\1\2\3\4\5\6[masked:quoted_secret]\4\5\6",
        ),
        MaskRule(
            "named_secret",
            _NAMED + r""")[^\s,;&"'\\\[{}\])>][^\s,;&"'\\})\]]*""",
            r"\1\2\3\2[masked:named_secret]\2",
        ),
    ),
    "email": (MaskRule("email", r"\b[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{2,}\b", "[masked:email]"),),
    "card": (
        MaskRule(
            "card",
            r"\b(?:3[47]\d{2}[ \-]?\d{6}[ \-]?\d{5}|(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6(?:011|5\d{2}))(?:[ \-]?\d{4}){3})\b",
            "[masked:card]",
            _is_card,
        ),
    ),
    "iban": (
        MaskRule(
            "iban",
            r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
            "[masked:iban]",
            _is_iban,
        ),
    ),
    "ip": (MaskRule("ip", r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b", "[masked:ip]"),),
}
"""Groups of rules by name."""


def differing(first: "pa.Array[Any]", second: "pa.Array[Any]") -> npt.NDArray[np.bool_]:
    """Return where two columns of texts (n,) with the same nulls differ."""
    differs: Any = pc.not_equal(first, second)
    filled: Any = pc.fill_null(differs, False)
    return np.asarray(filled, np.bool_)


class MaskError(ValueError):
    """A group of rules does not exist, or a pattern is none."""


@dataclass(frozen=True, slots=True)
class Masked:
    """A column after masking, and how many texts each rule changed."""

    column: "pa.Array[Any]"
    counts: Mapping[str, int] = field(default_factory=dict)


class Masks:
    """The rules that hold for all texts. Immutable; O(bytes) a rule, Python only for texts that a rule with a check matches."""

    def __init__(self, rules: Sequence[MaskRule] = ()) -> None:
        self.rules = tuple(rules)

    @classmethod
    def of(cls, groups: Sequence[str], patterns: Mapping[str, str]) -> "Masks":
        """Return the rules of some groups, and patterns of one's own by name.

        Raises:
            MaskError: a group is unknown, or a pattern is no regular expression of RE2, or matches the empty text.
        """
        unknown = [group for group in groups if group not in RULES]
        if unknown:
            raise MaskError(f"{unknown[0]!r} is no group of rules; they are {', '.join(RULES)}")
        own = [_own_rule(name, pattern) for name, pattern in patterns.items()]
        return cls([*(rule for group in groups for rule in RULES[group]), *own])

    def applied(self, column: "pa.Array[Any]") -> Masked:
        """Return a column of texts with everything masked; nulls stay."""
        counts: dict[str, int] = {}
        for rule in self.rules:
            matches = pc.match_substring_regex(column, rule.pattern)
            if pc.any(matches, min_count=0).as_py():
                changed = _replaced(column, matches, rule)
                differs = int(np.count_nonzero(differing(changed, column)))
                if differs:
                    counts[rule.name] = differs
                    column = changed
        return Masked(column, counts)


NOTHING_MASKED: Final = Masks()


def _replaced(column: "pa.Array[Any]", matches: Any, rule: MaskRule) -> "pa.Array[Any]":
    chosen = pc.filter(column, matches, null_selection_behavior="drop")
    if rule.check is None:
        replaced = pc.replace_substring_regex(chosen, rule.pattern, rule.replacement)
    else:
        texts: list[Any] = chosen.to_pylist()
        replaced = pa.array([_checked(rule, rule.check, text) for text in texts], pa.string())
    whole: pa.Array[Any] = pc.replace_with_mask(column, pc.fill_null(matches, False), replaced)
    return whole


def _checked(rule: MaskRule, check: Callable[[str], bool], text: str) -> str:
    return re.sub(rule.pattern, lambda match: rule.replacement if check(match[0]) else match[0], text)


def _own_rule(name: str, pattern: str) -> MaskRule:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        raise MaskError(f"{name!r} is no name of a pattern: lower case letters, digits and _ name it")
    try:
        empty = pc.match_substring_regex(pa.array([""]), pattern)[0].as_py()
    except pa.ArrowInvalid as error:
        raise MaskError(f"{name}: {pattern!r} is no regular expression of RE2 ({error})") from error
    if empty:
        raise MaskError(f"{name}: {pattern!r} matches the empty text: it would mask everything")
    return MaskRule(name, pattern, f"[masked:{name}]")
