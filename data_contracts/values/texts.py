"""The one rule for texts that people write: what a free text and what a name may hold, wherever it comes in.

A free text (what a change did, an annotation) holds line breaks, tabs, no-break spaces and the joiners that emoji and many
scripts need. A name is one line. Neither holds other control characters or lone surrogates, which no file can store.
"""

import unicodedata
from typing import Final

_BREAKS: Final = frozenset("\n\r\t\u0085\u2028\u2029")


def stray_character(text: str, single_line: bool) -> str | None:
    """Return the first character that keeps `text` out of a free text, or out of a name where `one_line`; None = it may stand.

    >>> stray_character("ship it \\U0001f469\\u200d\\U0001f4bb\\n\\u00a0now", single_line=False) is None
    True
    >>> stray_character("cart\\n", single_line=True)
    '\\n'
    """
    if text.isprintable():
        return None
    for character in text:
        if character in _BREAKS:
            if single_line:
                return character
        elif unicodedata.category(character) in {"Cc", "Cs"}:
            return character
    return None


def text_problem(text: str, most: int, single_line: bool) -> str | None:
    """Return why `text` cannot stand in a field of at most `most` characters, with the fix; None = it can.

    >>> text_problem("a" * 4, 3, single_line=True)
    'has 4 characters; at most 3 are kept: shorten it'
    """
    if len(text) > most:
        return f"has {len(text)} characters; at most {most} are kept: shorten it"
    stray = stray_character(text, single_line)
    if stray is not None:
        kind = "a name is one line" if stray in _BREAKS else "control characters are not kept"
        return f"holds U+{ord(stray):04X}; {kind}: remove it"
    return None
