"""The words of a detection: what was expected and seen, how rare it is, who judged, and who could not. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aiops.detection.routing import Route
from aiops.features.series_character import SeriesCharacter, rarity
from aiops.signals.signal_sentences import SignalText, sentence_of


@dataclass(frozen=True, slots=True)
class Point:
    """Tier 1's view of the worst point of a candidate, NaN where null; `metric` "" = no scored point."""

    metric: str
    flagged: bool
    tier1_version: str
    value: float
    z: float
    alarm_z: float
    score: float
    expected: float
    lower: float
    upper: float
    finding: str = ""
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """The opinion of the tier that judged: `supported` by tier 1, `confirmed` = an alert; `band`: expected, lower, upper."""

    tier: int
    score: float
    strange: bool
    supported: bool
    confirmed: bool
    detail: str
    band: tuple[float, float, float]


def point_text(point: Point, character: SeriesCharacter | None, text: SignalText | None = None) -> str:
    """Return expected, seen, bounds, and how rare the value is in the measured past of its series.

    A series of logs or calls says first what it is about (`text`), in words.
    """
    if not point.metric:
        return "no scored point since the previous tick"
    rare = "" if character is None else rarity(point.value, character)
    rare = (rare and f", {rare}") + (point.finding and f"; {point.finding}")
    said = sentence_of(point.metric, point.value, point.expected, text)
    about = f"{said}; " if said else ""
    if np.isnan(point.z):
        return f"{about}{point.metric} is {point.value:.6g}, its normal course is not known yet{rare}"
    bounds = "" if np.isnan(point.lower) or np.isnan(point.upper) else f", bounds {point.lower:.6g} to {point.upper:.6g}"
    z = f"z {point.z:.1f}, alarm at {point.alarm_z:.1f}"
    return f"{about}{point.metric} is {point.value:.6g}, expected {point.expected:.6g}{bounds} ({z}){rare}"


def route_text(route: Route, version: str) -> str:
    """Return a route in words."""
    confirmers = ", then ".join(str(tier) for tier in route.confirmers)
    return f"tier {route.tier}: {route.reason}; flags confirmed by tier {confirmers}, then 1 alone; routing {version}"


def passed_over(silences: Sequence[tuple[int, str]], tier: int) -> str:
    """Return why `tier` judges and not one before it; "" where none was before it.

    >>> passed_over([(2, "season not established")], 3)
    'tier 2 is silent (season not established), so tier 3 judges: '
    """
    if not silences:
        return ""
    said = ", ".join(f"tier {silent} is silent ({why})" for silent, why in silences)
    return f"{said}, so tier {tier} judges: "


def alone_text(alarm: bool, silences: Sequence[tuple[int, str]]) -> str:
    """Return what tier 1 says where nobody else does, and why they do not.

    >>> alone_text(True, [(3, "no champion is loaded."), (2, "no band for this series")])
    'tier 1 alone raises the alarm: tier 3: no champion is loaded; tier 2: no band for this series'
    """
    said = "raises the alarm" if alarm else "raises no alarm"
    clauses = [(tier, why.removesuffix(".")) for tier, why in silences]
    distinct = dict.fromkeys(why for _, why in clauses)
    texts = list(distinct) if len(distinct) == 1 else [f"tier {tier}: {why}" for tier, why in clauses]
    return f"tier 1 alone {said}: {'; '.join(texts)}"


def overruled_text(judgement: Judgement, certain: bool) -> str:
    """Return why tier 1 decides against the tier that was asked: it is extreme, or `certain`."""
    what = "scores the service" if judgement.tier == 3 else "scores it"
    why = "tier 1 decides alone, for no other tier can see this" if certain else "so extreme that tier 1 decides alone"
    return f"{why}; tier {judgement.tier} {what} {judgement.score:.2f}{_detail(judgement)}"


def judged_text(judgement: Judgement, flagged: bool) -> str:
    """Return the judgement of tier 2 or 3 in words and numbers."""
    return _seasonal_text(judgement, flagged) if judgement.tier == 2 else _learned_text(judgement, flagged)


def _seasonal_text(judgement: Judgement, flagged: bool) -> str:
    expected, lower, upper = judgement.band
    band = (
        f"tier 2 expects {expected:.6g} at this time, bounds {lower:.6g} to {upper:.6g}, "
        f"score {judgement.score:.2f}{_detail(judgement)}"
    )
    if judgement.confirmed:
        alone = "so far outside its seasonal band that no flag is needed"
        how = "outside its seasonal band too" if judgement.supported else alone
        return f"{band}: {how}"
    if judgement.strange:
        return f"{band}: outside its seasonal band, but tier 1 sees nothing and it is not far"
    return f"{band}: {'usual at this time' if flagged else 'normal to both tiers'}"


def _learned_text(judgement: Judgement, flagged: bool) -> str:
    score = f"score {judgement.score:.2f}{_detail(judgement)}"
    if judgement.confirmed and judgement.supported:
        return f"tier 3 finds the service strange too, {score}"
    if judgement.confirmed:
        return f"tier 3 finds the service strange, {score}; for a critical service that suffices"
    if judgement.strange:
        return f"tier 3 finds the service strange, {score}, but no metric of it is"
    if flagged:
        return f"tier 3 finds the service as a whole normal, {score}"
    return f"normal to both tiers, tier 3 {score}"


def _detail(judgement: Judgement) -> str:
    return f" ({judgement.detail})" if judgement.detail else ""
