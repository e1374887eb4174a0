"""Secrets and personal data in texts of logs and spans are masked before anything is stored.

What a rule of `mask_rules` matches becomes `[masked:<rule>]`. One expression, all rules at once, tells which texts are looked at
closer: only these are taken apart where they are JSON (`masked_trees`), and only to these the rules are applied one by one.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.values.mask_checks import Candidate
from data_contracts.values.mask_rules import NAME_SIGN, RULES, MaskRule
from data_contracts.values.masked_trees import Leaves, Trees, put_together

_HEAD, _VALUE, _END = "\ufdd0", "\ufdd1", "\ufdd2"
"""Noncharacters of Unicode around the parts of a match, until its check is made."""
_MOST_CONTEXT: Final = 40
_MOST_AFTER: Final = 8
_ESCAPES: Final = (
    *((rf"(?i)\\+u00{ord(sign):02x}", sign) for sign in "=&<>'\"+"),
    (r"\\+u00[01][0-9A-Fa-f]", "\n"),
    (r"\\+u[0-9A-Fa-f]{4}", "\u00e9"),
)
"""What the escapes of JSON by number stand for; for those of letters any letter does."""


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
    """The rules that hold for all texts. Immutable; O(bytes), Python only for texts that a rule may match."""

    def __init__(self, rules: Sequence[MaskRule] = (), by_name: bool = False) -> None:
        self.rules = tuple(rules)
        self._by_name = by_name
        """Whether values under the names of secrets are masked in JSON."""
        signs = dict.fromkeys([*(rule.suspicion for rule in rules), *[NAME_SIGN] * by_name])
        self._any = "|".join(f"(?:{sign})" for sign in signs)

    @classmethod
    def of(cls, groups: Sequence[str], patterns: Mapping[str, str]) -> "Masks":
        """Return the rules of some groups, and patterns of one's own by name.

        Raises:
            MaskError: a group is unknown, or a pattern is no regular expression of RE2, holds control characters, or matches the
                empty text.
        """
        unknown = [group for group in groups if group not in RULES]
        if unknown:
            raise MaskError(f"{unknown[0]!r} is no group of rules; they are {', '.join(RULES)}")
        own = [_own_rule(name, pattern) for name, pattern in patterns.items()]
        return cls([*(rule for group in groups for rule in RULES[group]), *own], "secrets" in groups)

    def applied(self, column: "pa.Array[Any]") -> Masked:
        """Return a column of texts with everything masked; nulls stay, JSON stays JSON."""
        if not self.rules or not len(column):
            return Masked(column)
        suspect = self._suspect(column)
        if not suspect.any():
            return Masked(column)
        chosen: list[Any] = column.filter(pa.array(suspect)).to_pylist()
        trees = Trees(self._by_name, any(rule.name == "card" for rule in self.rules))
        taken_apart = [trees.taken_apart(text) for text in chosen]
        counts = dict(trees.counts)
        leaves: Any = pa.array(trees.leaves, pa.string())
        present: dict[str, bool] = {}
        for rule in self.rules:
            if rule.suspicion not in present:
                present[rule.suspicion] = bool(_matching(leaves, rule.suspicion).any())
            if not present[rule.suspicion]:
                continue
            changed = _replaced(leaves, rule)
            differs = int(np.count_nonzero(differing(changed, leaves)))
            if differs:
                counts[rule.name] = counts.get(rule.name, 0) + differs
                leaves = changed
                present.clear()
        if not counts:
            return Masked(column)
        masked = Leaves(leaves.to_pylist())
        texts = pa.array([put_together(tree, masked) for tree in taken_apart], pa.string())
        return Masked(pc.replace_with_mask(column, pa.array(suspect), texts), counts)

    def text(self, text: str) -> str:
        """Return one text with everything masked."""
        return str(self.applied(pa.array([text])).column[0].as_py())

    def _suspect(self, column: "pa.Array[Any]") -> npt.NDArray[np.bool_]:
        """Return (n,) which texts a rule may match, as they are or without the escapes of JSON."""
        suspect = _matching(column, self._any)
        rows: Any = np.flatnonzero(_matching(column, r"\\") & ~suspect)
        if rows.size:
            for plain in _unescaped(column.take(pa.array(rows, pa.int64()))):
                suspect[rows] |= _matching(plain, self._any)
        return suspect


NOTHING_MASKED: Final = Masks()


def _unescaped(column: Any) -> Iterator[Any]:
    """Yield texts of JSON (n,) without escapes: as of JSON within JSON, where each `\\n` is a break, and as of JSON itself."""
    if _matching(column, r"\\u").any():
        for escape, sign in _ESCAPES:
            column = pc.replace_substring_regex(column, escape, sign)
    broken: Any = pc.replace_substring_regex(column, r"\\+[nrbf]", "\n")
    yield pc.replace_substring(pc.replace_substring_regex(broken, r"\\+t", "\t"), "\\", "")
    marked: Any = pc.replace_substring(column, r"\\", _HEAD)
    broken = pc.replace_substring_regex(marked, r"\\[nrbf]", "\n")
    plain: Any = pc.replace_substring(pc.replace_substring(broken, r"\t", "\t"), "\\", "")
    yield pc.replace_substring(plain, _HEAD, "\\")


def _matching(column: "pa.Array[Any]", pattern: str) -> npt.NDArray[np.bool_]:
    matches: Any = pc.match_substring_regex(column, pattern)
    return np.array(pc.fill_null(matches, False), np.bool_)


def _replaced(column: "pa.Array[Any]", rule: MaskRule) -> "pa.Array[Any]":
    matches = _matching(column, rule.pattern)
    if not matches.any():
        return column
    chosen: Any = column.filter(pa.array(matches))
    if rule.check is None:
        replaced: Any = pc.replace_substring_regex(chosen, rule.pattern, rf"\1[masked:{rule.name}]\3")
    else:
        chosen = pc.replace_substring_regex(chosen, f"[{_HEAD}{_VALUE}{_END}]", "\ufffd")
        marked: list[Any] = pc.replace_substring_regex(chosen, rule.pattern, rf"{_HEAD}\1{_VALUE}\2{_END}\3").to_pylist()
        replaced = pa.array([_checked(rule.name, rule.check, text) for text in marked], pa.string())
    whole: pa.Array[Any] = pc.replace_with_mask(column, pa.array(matches), replaced)
    return whole


def _checked(name: str, check: Callable[[Candidate], bool], marked: str) -> str:
    first, *matches = marked.split(_HEAD)
    parts = [first]
    for match in matches:
        head, _, rest = match.partition(_VALUE)
        value, _, after = rest.partition(_END)
        candidate = Candidate(parts[-1][-_MOST_CONTEXT:], head, value, after[:_MOST_AFTER])
        parts += [head, f"[masked:{name}]" if check(candidate) else value, after]
    return "".join(parts)


def _own_rule(name: str, pattern: str) -> MaskRule:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        raise MaskError(f"{name!r} is no name of a pattern: lower case letters, digits and _ name it")
    if re.search(r"[\x00-\x1f\x7f]", pattern):
        raise MaskError(f'{name}: {pattern!r} holds a control character: in JSON a backslash is written twice, "\\\\b" for \\b')
    try:
        empty = pc.match_substring_regex(pa.array([""]), pattern)[0].as_py()
    except pa.ArrowInvalid as error:
        raise MaskError(f"{name}: {pattern!r} is no regular expression of RE2 ({error})") from error
    if empty:
        raise MaskError(f"{name}: {pattern!r} matches the empty text: it would mask everything")
    return MaskRule(name, "", pattern)
