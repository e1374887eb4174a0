"""Why an expression does not hold: the smallest parts of it that are false or not known, with the values that they name.

A text is cut at `||` and `&&` outside of strings and brackets; what has a `?` there is one part.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from aiops.automation.expressions import condition
from aiops.automation.fact_names import Facts, FactValue, Scope

_STRING: Final = r'[rRbB]{0,2}(?:"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\')'
_TOKEN: Final = re.compile(rf"(?P<string>{_STRING})|(?P<comment>//[^\n]*)|(?P<operator>\|\||&&)|(?P<other>[\s\S])")
_OPENING: Final = "([{"
_CLOSING: Final = ")]}"


@dataclass(frozen=True, slots=True)
class FactShown:
    """A fact that a part names; `value` None = not known."""

    name: str
    value: FactValue | None


@dataclass(frozen=True, slots=True)
class FailedPart:
    """A part of an expression that does not hold; `unknown` says why nobody can tell, "" = it is false."""

    text: str
    unknown: str
    facts: tuple[FactShown, ...]

    @property
    def sentence(self) -> str:
        """Return it in one line, with the values that it names."""
        shown = ", ".join(f"{fact.name} = {'not known' if fact.value is None else _shown(fact.value)}" for fact in self.facts)
        reason = f"is not known: {self.unknown}" if self.unknown else "is false"
        return f"{self.text} {reason}" + (f" ({shown})" if shown else "")


def failed_parts(text: str, scope: Scope, facts: Facts) -> tuple[FailedPart, ...]:
    """Return the parts of a valid expression because of which it does not hold; none where it holds.

    Raises:
        ExpressionError: the expression cannot be used.
    """
    if condition(text, scope).answer(facts).holds:
        return ()
    return tuple(_failed(text.strip(), scope, facts))


def _failed(text: str, scope: Scope, facts: Facts) -> Iterator[FailedPart]:
    """Yield the failed parts of a text that does not hold."""
    bare = _without_brackets(text)
    for operator in ("||", "&&"):  # the weaker binding first
        parts = _split(bare, operator)
        if len(parts) > 1:
            for part in parts:
                if not condition(part, scope).answer(facts).holds:
                    yield from _failed(part, scope, facts)
            return
    whole = condition(bare, scope)
    shown = tuple(FactShown(name, facts.get(name)) for name in whole.names)
    yield FailedPart(" ".join(bare.split()), whole.answer(facts).unknown, shown)


def _split(text: str, operator: str) -> list[str]:
    """Return the parts of a text between an operator outside of brackets; the whole where a conditional stands there."""
    parts = [""]
    depth = 0
    for token in _TOKEN.finditer(text):
        character = token["other"]
        if token["comment"]:
            continue
        if character == "?" and depth == 0:
            return [text]
        depth += (character or " ") in _OPENING
        depth -= (character or " ") in _CLOSING
        if depth == 0 and token["operator"] == operator:
            parts.append("")
        else:
            parts[-1] += token[0]
    return [part.strip() for part in parts]


def _without_brackets(text: str) -> str:
    """Return a text without brackets that hold all of it."""
    while text.startswith("(") and _closing(text) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def _closing(text: str) -> int:
    """Return where the bracket that opens a text is closed."""
    depth = 0
    for token in _TOKEN.finditer(text):
        character = token["other"] or " "
        depth += character in _OPENING
        depth -= character in _CLOSING
        if depth == 0:
            return token.start()
    return -1


def _shown(value: FactValue) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(value)}]"
    return f"{value:.4g}" if isinstance(value, float) else f'"{value}"' if isinstance(value, str) else str(value)
