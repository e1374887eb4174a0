"""Figures as a text of 80 columns, whatever the terminal: two lines a figure, so that no name and no number is cut."""

import textwrap
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from tests.benchmarks.comparison import WORSE_BY, Measured

WIDTH: Final = 80
_COLUMNS: Final = "{:>16} {:<17} {:>12} {:>9} {:>10} {:>10}"


def table(figures: Sequence[Measured]) -> str:
    """Return all figures, by benchmark; the last lines name regressions."""
    lines = [_COLUMNS.format("value", "unit", "baseline", "ratio", "committed", "change").rstrip()]
    for bench, of_bench in groupby(figures, lambda figure: figure.bench):
        lines += ["", bench, "-" * len(bench)]
        for figure in of_bench:
            lines += textwrap.wrap(figure.name, WIDTH)
            lines.append(_numbers(figure))
    return "\n".join([*lines, "", *_verdict(figures)])


def number(value: float) -> str:
    """Return a number with four figures at least.

    >>> number(52073.6), number(0.3432), number(7.0)
    ('52,074', '0.3432', '7')
    """
    return f"{value:,.0f}" if 1000 <= abs(value) < 999_999_999 else f"{value:.4g}"


def _numbers(figure: Measured) -> str:
    ratio = "" if figure.ratio is None else f"{figure.ratio:.3g}"
    committed = "" if figure.committed is None else f"{figure.committed:.3g}"
    change = "" if figure.change is None else _change(figure.change) + (" !" if figure.regression else "")
    baseline = number(figure.baseline) if figure.baseline else ""
    return _COLUMNS.format(number(figure.value), figure.unit, baseline, ratio, committed, change).rstrip()


def _change(change: float) -> str:
    return f"{100 * change:+.0f} %" if change < 10 else f"x {1 + change:.2g}"


def _verdict(figures: Sequence[Measured]) -> list[str]:
    worse = [figure for figure in figures if figure.regression]
    compared = sum(figure.change is not None for figure in figures)
    if not worse:
        return [f"No ratio of {compared} is worse than the committed one by more than {WORSE_BY:.0%}."]
    lines = [f"REGRESSIONS: {len(worse)} of {compared} ratios are worse than the committed ones by more than {WORSE_BY:.0%}:"]
    for figure in worse:
        lines += textwrap.wrap(f"{figure.bench}: {figure.name}", WIDTH, initial_indent="  ", subsequent_indent="    ")
        lines.append(f"    ratio {figure.ratio:.3g} instead of {figure.committed:.3g}")
    return lines
