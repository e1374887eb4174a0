"""JSON that is masked as what it is: every text in it by itself, and whole what stands under the name of a secret.

So it stays JSON whatever is masked. A text that is an object or an array of JSON itself is taken apart, too.
"""

import itertools
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import msgspec

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
_NAMES: Final = ("name", "key")
_MOST_NAME: Final = 200


@dataclass(slots=True)
class _Inner:
    """JSON that was a text within JSON, and that text."""

    tree: Any
    text: str


@dataclass(slots=True)
class Trees:
    """Texts taken apart: `leaves` are all texts in them, in order; `named` counts what was masked by name. O(bytes)."""

    by_name: bool
    leaves: list[str] = field(default_factory=list)
    named: int = 0

    def taken_apart(self, text: str, depth: int = 0) -> Any:
        """Return a text, or the JSON that it is, with its texts in `leaves` and values of secrets masked."""
        if depth < _MOST_DEPTH and text[:1] in ("{", "["):
            try:
                return _Inner(self._gathered(msgspec.json.decode(text), depth), text)
            except (ValueError, msgspec.MsgspecError, RecursionError):
                pass
        self.leaves.append(text)
        return text

    def _gathered(self, node: Any, depth: int) -> Any:
        if isinstance(node, str):
            return self.taken_apart(node, depth + 1)
        if isinstance(node, list):
            return [self._gathered(item, depth) for item in self._arguments(node)]
        if isinstance(node, dict):
            made = {}
            paired = self._pair(node)
            for name, value in paired.items():
                self.leaves.append(name)
                made[name] = self._gathered(self._under(name, value), depth)
            return made
        return node

    def _under(self, name: str, value: Any) -> Any:
        if not self.by_name or value is None or isinstance(value, bool) or value in ("", [], {}) or not is_secret_name(name):
            return value
        if value == MASKED_VALUE or (isinstance(value, int | float) and _COUNTED.search(name)):
            return value
        self.named += 1
        return MASKED_VALUE

    def _pair(self, node: dict[str, Any]) -> dict[str, Any]:
        """Return an object; of `{"key": <name of a secret>, "value": …}` the value is masked."""
        if "value" not in node:
            return node
        names = [node[name] for name in _NAMES if isinstance(node.get(name), str)]
        return {**node, "value": self._under(names[0], node["value"])} if names else node

    def _arguments(self, items: list[Any]) -> list[Any]:
        """Return a list; of arguments of a command what follows the flag of a secret is masked."""
        if not self.by_name or not any(isinstance(item, str) and item.startswith("-") for item in items):
            return items
        made = list(items)
        for place, (flag, value) in enumerate(itertools.pairwise(items), 1):
            if isinstance(flag, str) and isinstance(value, str) and _FLAG.fullmatch(flag) and not value.startswith("-"):
                if flag in ("-u", "--user") and ":" in value:
                    made[place] = self._under("password", value)
                else:
                    made[place] = self._under(flag, value)
        return made


def put_together(node: Any, leaves: "Leaves") -> Any:
    """Return what `Trees.taken_apart` took apart with other leaves; JSON that they leave as it was stays to the letter."""
    if isinstance(node, str):
        return leaves.next()
    if isinstance(node, _Inner):
        made = put_together(node.tree, leaves)
        return node.text if made == msgspec.json.decode(node.text) else msgspec.json.encode(made).decode()
    if isinstance(node, list):
        return [put_together(item, leaves) for item in node]
    if isinstance(node, dict):
        whole: dict[str, Any] = {}
        for value in node.values():
            name = leaves.next()
            while name in whole:
                name += "'"
            whole[name] = put_together(value, leaves)
        return whole
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
    return _PYTHON_NAME.search(name[-_MOST_NAME:]) is not None
