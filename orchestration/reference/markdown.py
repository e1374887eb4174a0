"""Pieces of Markdown pages."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

MADE: Final = "<!-- made from the code by `make docs`: do not edit by hand -->"
_NOT_IN_SLUGS: Final = re.compile(r"[^\w\- ]")


def page(title: str, *parts: str) -> str:
    """Return a page: its title, then parts with an empty line between them."""
    return "\n\n".join([MADE, f"# {title}", *(part.strip("\n") for part in parts if part.strip())]) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, or nothing where there are no rows; cells are Markdown, in which `|` and line breaks are made fit."""
    lines = [_row(row) for row in rows]
    return "\n".join([_row(header), _row(["---"] * len(header)), *lines]) if lines else ""


def text(words: str) -> str:
    """Return words of the code as Markdown: no tags of HTML can come of them.

    >>> text("exported to <home>/models")
    'exported to &lt;home>/models'
    """
    return words.replace("<", "&lt;").strip()


def code(words: str) -> str:
    """Return words in backquotes, nothing for nothing."""
    return f"`{words}`" if words else ""


def slug(heading: str) -> str:
    """Return the anchor of a heading, as hosts of repositories and the site's generator make it.

    >>> slug("GET /incidents/{incident_id}"), slug("`aiops rca ask`")
    ('get-incidentsincident_id', 'aiops-rca-ask')
    """
    return _NOT_IN_SLUGS.sub("", heading.lower()).replace(" ", "-")


def link(words: str, target: str) -> str:
    """Return a link."""
    return f"[{words}]({target})"


def sentences(*lines: str) -> str:
    """Return lines joined to one paragraph, empty ones left out; each ends with a full stop."""
    return " ".join(_ended(line) for line in lines if line)


def items(lines: Iterable[str]) -> str:
    """Return a list."""
    return "\n".join(_items(lines))


def _items(lines: Iterable[str]) -> Iterator[str]:
    yield from (f"- {line}" for line in lines)


def _ended(line: str) -> str:
    return line if line.endswith((".", "!", "?", ":")) else f"{line}."


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(re.sub(r"(?<!\\)\|", r"\\|", " ".join(cell.split())) for cell in cells) + " |"
