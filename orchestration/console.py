"""What the command line prints: results as tables or JSON on stdout, progress and errors on stderr."""

import logging
import math
import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

_ERR = Console(stderr=True, highlight=False)
_WIDTH = 160
"""Columns of what is printed into a file or a pipe, where `COLUMNS` does not say it."""
_LEAST = 18
"""Characters of a cell that stay in a line, where it has as many: a table too narrow for that is printed as paragraphs."""
_STARTED = time.monotonic()


def say(text: str) -> None:
    """Print one line of progress with the seconds since the start, on stderr."""
    _ERR.print(f"[dim]{time.monotonic() - _STARTED:6.1f} s[/dim]  {text}", soft_wrap=True)


def complain(text: str) -> None:
    """Print an error on stderr."""
    _ERR.print("[bold red]error[/bold red] ", end="")
    _ERR.print(text, markup=False, soft_wrap=True)


def calm_libraries() -> None:
    """Keep what libraries log for their developers off the terminal; an entry point calls this once."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    logging.getLogger("alembic").setLevel(logging.WARNING)


@contextmanager
def stage(title: str) -> Iterator[None]:
    """Announce a stage and how long it took."""
    say(f"[bold]{title}[/bold] …")
    began = time.monotonic()
    yield
    say(f"  done in {time.monotonic() - began:.1f} s")


def as_json(value: object) -> str:
    """Return any result (dataclasses, datetimes, numpy values, paths) as indented JSON."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
    return orjson.dumps(value, default=str, option=options).decode()


def print_json(value: object) -> None:
    """Print a result as JSON on stdout."""
    sys.stdout.write(as_json(value) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows as a table on stdout; floats with four significant digits, times to the second in UTC, no value as a dash.

    Where the terminal (or `COLUMNS`) is too narrow for the columns, every row is a paragraph of its own.
    """
    into = Console(highlight=False, width=None if sys.stdout.isatty() else _columns())
    texts = [[_text(cell) for cell in row] for row in rows]
    if len(columns) > 2 and _least_width(columns, texts) > into.width:
        _print_paragraphs(into, title, columns, texts)
        return
    table = Table(title=Text(title), title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in texts:
        table.add_row(*map(Text, row))  # what is in brackets is no markup
    into.print(table)


def _columns() -> int:
    """Return the width of a file or a pipe: `COLUMNS`, where that is a number and not 0."""
    given = os.environ.get("COLUMNS", "")
    return (int(given) if given.isdecimal() else 0) or _WIDTH


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return how wide a table must be, so that no cell is broken into pieces shorter than `_LEAST` characters."""
    cells = ([column, *(row[number] for row in rows)] for number, column in enumerate(columns))
    return 1 + sum(3 + min(_LEAST, max(len(text) for text in column)) for column in cells)


def _print_paragraphs(into: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    into.print(title, markup=False, style="italic")
    names = max(len(column) for column in columns)
    for row in rows:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(min_width=names)
        grid.add_column(overflow="fold")
        for column, text in zip(columns, row, strict=True):
            grid.add_row(column, Text(text))
        into.print(grid)
        into.print()


def print_facts(title: str, facts: Mapping[str, Any]) -> None:
    """Print a two-column table of names and values."""
    print_table(title, ("what", "value"), list(facts.items()))


def _text(cell: object) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "–"
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%d %H:%M:%S}" if cell.tzinfo is None else f"{cell.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.4g}"
    if isinstance(cell, int):
        return f"{cell:,}"
    return str(cell)
