"""Why a breach is expected or not, in words: the contributions of the forecast's trees by theme, with the numbers behind them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.types import FloatArray
from models.breach.breach_features import NAMES, Reference

SHOWN: Final = 3
LEAST: Final = 0.05
"""A theme that moves the log odds by less is not worth a line."""
Row = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Theme:
    """Columns (by the beginning of their name) that say one thing; `words` says it of a row whose risk it raises, or lowers."""

    prefixes: tuple[str, ...]
    words: Callable[[Row, bool], str]


def _level(row: Row, _raises: bool) -> str:
    return f"the value lies above {row['rank']:.0%} of its history and {_distance(row['gap'])}"


def _distance(gap: float) -> str:
    if gap > 0:
        return "over its limit"
    return (
        f"{min(-gap, 1.0):.0%} of the usual distance below its limit"
        if gap > -1.0
        else "as far below its limit as usual, or farther"
    )


def _trend(row: Row, _raises: bool) -> str:
    slope = row["slope_48"]
    if not np.isfinite(slope) or abs(slope) < 1e-3:
        return "no trend in the last 48 rows"
    return f"it {'rises' if slope > 0 else 'falls'} by {abs(slope):.1%} of the usual distance to the limit a row"


def _season(row: Row, raises: bool) -> str:
    """The season that speaks the same way as the whole theme; what values came to, where neither does."""
    rates = {"time of day": row["day_rate"], "time of the week": row["week_rate"]}
    fitting = {where: rate for where, rate in rates.items() if (rate > 0) == raises}
    if fitting:
        where = max(fitting, key=lambda key: abs(fitting[key]))
        return f"at this {where} breaches follow {np.exp(fitting[where]):.1f} times as often as otherwise"
    return f"at this time of day its values came, on average, {_distance(row['day_level'])}"


def _rhythm(row: Row, _raises: bool) -> str:
    if not np.isfinite(row["rows_since_start"]):
        return "it never breached"
    text = f"its last breach began {np.expm1(row['rows_since_start']):.0f} rows ago"
    return f"{text}; of the pauses that lasted as long, {row['hazard']:.0%} ended now" if np.isfinite(row["hazard"]) else text


def _habit(row: Row, _raises: bool) -> str:
    own, lately = (1.0 / (1.0 + np.exp(-row[name])) for name in ("own_rate", "recent_rate_600"))
    return f"a breach followed {own:.1%} of its calm rows, lately {lately:.1%}"


THEMES: Final = (
    Theme(("gap", "rank", "near", "high"), _level),
    Theme(("slope", "passage"), _trend),
    Theme(("day", "week"), _season),
    Theme(("rows_since", "hazard", "survivors"), _rhythm),
    Theme(("own_rate", "recent_rate", "breach_share"), _habit),
    Theme(
        ("change", "spread"), lambda row, _: f"its values spread by {row['spread_48']:.0%} of that distance in the last 48 rows"
    ),
    Theme(
        ("tail", "middle", "upper"),
        lambda row, _: f"the top of its history lies {row['tail']:.0%} of that distance above the limit",
    ),
)


def reasons_of(row: FloatArray, contribution: FloatArray) -> tuple[str, ...]:
    """Return at most three reasons for one row of features (len(NAMES),) and its contributions, the weightiest first.

    Each begins with "+" where it raises the risk and with "-" where it lowers it.
    """
    named = dict(zip(NAMES, row.tolist(), strict=True))
    weights = [
        sum(share for name, share in zip(NAMES, contribution.tolist(), strict=True) if name.startswith(theme.prefixes))
        for theme in THEMES
    ]
    order = sorted(range(len(THEMES)), key=lambda place: -abs(weights[place]))
    return tuple(
        f"{'+' if weights[place] > 0 else '-'} {THEMES[place].words(named, weights[place] > 0)}"
        for place in order[:SHOWN]
        if abs(weights[place]) >= LEAST
    )


def walk_reasons(row: FloatArray, reference: Reference) -> tuple[str, ...]:
    """Return the reasons where the history never reached the limit: how near, and whether it drifts there."""
    named = dict(zip(NAMES, row.tolist(), strict=True))
    top = float(reference.table[-1])
    first = (
        f"the first part of its history never exceeded {reference.limit:.4g} (at most {top:.4g}): drift and spread alone count"
    )
    sign = "+" if named["slope_48"] > 0 else "-"
    return (
        first,
        f"{sign} {_trend(named, named['slope_48'] > 0)}",
        f"{'+' if named['gap'] > -0.25 else '-'} {_level(named, named['gap'] > -0.25)}",
    )
