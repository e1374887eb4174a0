"""What requests changed, as people read it."""

from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from aiops.signals.request_changes import Change
from aiops.signals.requests import EDGE

_LINE: Final = 60


class Templates(Protocol):
    """What shapes of lines lead to now."""

    def resolve(self, ids: "npt.NDArray[np.uint64]") -> "npt.NDArray[np.uint64]":
        """Return the ids of the templates that those of shapes and templates lead to."""

    def words(self, template: int) -> str:
        """Return a template as people read it; empty where it is not held."""


def change_words(change: Change, templates: Templates | None) -> str:
    """Return what changed and how far, as people read it."""
    pattern = change.pattern
    shares = f"{change.share_now:.0%} of requests {{}}, usually {change.share_then:.0%}".replace("%", " %")
    what = "fail"
    if pattern.kind == "call":
        what = f"call {pattern.first}"
    elif pattern.kind == "order":
        first, second = (_line(text, templates) for text in (pattern.first, pattern.second))
        begins, ends = pattern.first == EDGE, pattern.second == EDGE
        what = f"begin with {second}" if begins else f"end after {first}" if ends else f"go from {first} to {second}"
    return f"{pattern.operation}: {shares.format(what)}"


def _line(template: str, templates: Templates | None) -> str:
    if template == EDGE or templates is None:
        return template
    words = templates.words(int(template, 16)) or template
    return f"“{words if len(words) <= _LINE else words[: _LINE - 1] + '…'}”"
