"""JSON that is masked as what it is: every text in it by itself, and whole what stands under the name of a secret.

So it stays JSON whatever is masked. A text that is an object or an array of JSON itself is taken apart, too.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import msgspec

from data_contracts.values.mask_checks import is_card, is_value_beside, names_card
from data_contracts.values.mask_rules import SECRET_NAME_END

MASKED_NAME: Final = "secret_name"
"""What counts what is masked by the name that it stands under."""

MASKED_VALUE: Final = f"[masked:{MASKED_NAME}]"
_MOST_DEPTH: Final = 4
"""JSON within JSON is taken apart so deep; deeper it is text."""
_PYTHON_NAME: Final = re.compile(SECRET_NAME_END + r"$", re.ASCII)
_COUNTED: Final = re.compile(
    r"(?i)tokens$|(?:input|output|prompt|completion|total|max|min|next|num|cached|reasoning)[_\-.]?token$"
)
_FLAG: Final = re.compile(r"--?[A-Za-z][\w.\-]*")
_LOGIN: Final = re.compile(r"[^:]+:(?!\d+$).+", re.DOTALL)
_PAIR: Final = 2
_NAMES: Final = ("name", "key")
_MOST_NAME: Final = 200
_NUMBER: Final = re.compile(r"'\d{1,9}$")
_MOST_LEVELS: Final = 100
"""JSON that nests deeper is text: no stack of Python overflows."""

_CARD_NUMBER: Final = re.compile(r"\d{13,19}")


@dataclass(slots=True)
class _Inner:
    """JSON with what stands under names masked, as it was, and the text that it was."""

    tree: Any
    given: Any
    text: str


@dataclass(slots=True)
class Trees:
    """Texts taken apart: `leaves` are all texts in them, in order; `counts` what was masked by its name, by rule. O(bytes).

    `by_name`: values under the names of secrets are masked; `cards`: numbers of cards under their names.
    """

    by_name: bool
    cards: bool = False
    leaves: list[str] = field(default_factory=list)
    counts: "Counter[str]" = field(default_factory=Counter)

    def taken_apart(self, text: str, depth: int = 0) -> Any:
        """Return a text, or the JSON that it is, with its texts in `leaves` and values of secrets masked."""
        if depth < _MOST_DEPTH and text[:1] in ("{", "["):
            leaves, counts = len(self.leaves), self.counts.copy()
            try:
                tree = _decoded(text)
                return _Inner(self._gathered(tree, depth, 0), tree, text)
            except (ValueError, msgspec.MsgspecError, RecursionError):
                del self.leaves[leaves:]
                self.counts = counts
        self.leaves.append(text)
        return text

    def _gathered(self, node: Any, depth: int, level: int) -> Any:
        if isinstance(node, str):
            return self.taken_apart(node, depth + 1)
        if level > _MOST_LEVELS:
            raise RecursionError(f"JSON nests more than {_MOST_LEVELS} deep")
        if isinstance(node, list):
            return [self._gathered(item, depth, level + 1) for item in self._arguments(node)]
        if isinstance(node, dict):
            made = {}
            for name, value in self._pair(node).items():
                self.leaves.append(name)
                made[name] = self._gathered(self._under(name, value), depth, level + 1)
            return made
        return node

    def _under(self, name: str, value: Any) -> Any:
        """Return what stands under a name, masked where that is one of a secret."""
        if self.by_name and is_secret_name(name):
            kept = value is None or isinstance(value, bool) or value in ("", [], {}, MASKED_VALUE)
            if kept or (isinstance(value, int | float) and _COUNTED.search(name)):
                return value
            self.counts[MASKED_NAME] += 1
            return MASKED_VALUE
        if self.cards and names_card(name) and _CARD_NUMBER.fullmatch(str(value)) and is_card(str(value)):
            self.counts["card"] += 1
            return "[masked:card]"
        return value

    def _pair(self, node: dict[str, Any]) -> dict[str, Any]:
        """Return an object; of `{"key": <name of a secret>, "value": …}` the value is masked."""
        if "value" not in node:
            return node
        names = [node[name] for name in _NAMES if isinstance(node.get(name), str)]
        return {**node, "value": self._under(names[0], node["value"])} if names else node

    def _arguments(self, items: list[Any]) -> list[Any]:
        """Return a list with the value masked that follows the flag of a secret, or stands alone beside its name."""
        if not self.by_name:
            return items
        made = list(items)
        for place, (flag, value) in enumerate(pairwise(items), 1):
            if not isinstance(flag, str) or not isinstance(value, str):
                continue
            if _FLAG.fullmatch(flag) and not value.startswith("-"):
                name = "password" if flag in ("-u", "--user") and _LOGIN.fullmatch(value) else flag
                made[place] = self._under(name, value)
            elif len(items) == _PAIR and is_value_beside(value):
                made[place] = self._under(flag, value)
        return made


def put_together(node: Any, leaves: "Leaves") -> Any:
    """Return what `Trees.taken_apart` took apart with other leaves; JSON that they leave as it was stays to the letter."""
    if isinstance(node, str):
        return leaves.next()
    if isinstance(node, _Inner):
        made = put_together(node.tree, leaves)
        return node.text if made == node.given else msgspec.json.encode(made).decode()
    if isinstance(node, list):
        return [put_together(item, leaves) for item in node]
    if isinstance(node, dict):
        renamed: dict[str, Any] = {}
        for value in node.values():
            name = leaves.next()
            name = _free(name, renamed)
            renamed[name] = put_together(value, leaves)
        return renamed
    return node


@dataclass(slots=True)
class Leaves:
    """Texts in order, taken one by one."""

    texts: list[str]
    at: int = 0

    def next(self) -> str:
        """Return the next text."""
        self.at += 1
        return self.texts[self.at - 1]


@lru_cache(maxsize=8192)
def is_secret_name(name: str) -> bool:
    """Return whether a value under this name is a secret.

    >>> is_secret_name("http.request.header.authorization"), is_secret_name("db.password"), is_secret_name("token_type")
    (True, True, False)
    """
    return _PYTHON_NAME.search(_NUMBER.sub("", name[-_MOST_NAME:])) is not None


def _decoded(text: str) -> Any:
    """Return JSON; of names that come twice in an object, which readers pass over, each later one gets a number.

    Raises:
        ValueError, msgspec.MsgspecError, RecursionError: it is none, or nests too deep.
    """
    tree = msgspec.json.decode(text)
    if msgspec.json.encode(tree).count(b'"') == text.count('"'):
        return tree
    return json.loads(text, object_pairs_hook=_numbered)


def _numbered(pairs: list[Any]) -> dict[str, Any]:
    numbered: dict[str, Any] = {}
    for name, value in pairs:
        numbered[_free(name, numbered)] = value
    return numbered


def _free(name: str, names: dict[str, Any]) -> str:
    """Return a name that is not taken: itself, or with a number behind it."""
    if name not in names:
        return name
    number = len(names)
    while f"{name}'{number}" in names:
        number *= 2
    return f"{name}'{number}"
