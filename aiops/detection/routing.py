"""Which tier judges a series, which tiers confirm its flags, and why: by configuration, then by measured character. Pure.

| what | first judged by | a flag of tier 1 is confirmed by | where that one is missing, late or failing |
|---|---|---|---|
| infrastructure signals | tier 1, their own recent past | tier 3, the service as a whole | tier 2, then tier 1 alone |
| business signals | tier 2, their seasonal band | tier 2 | tier 3, then tier 1 alone |
| critical services | tier 3: its word needs no flag | tier 3 | tier 2, then tier 1 alone |

Character moves a series: an infrastructure series with a strong season is judged by tier 2, and one that is intermittent or
very noisy never is, for its band would say nothing. An override has the first word.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from aiops.features.series_character import SeriesCharacter
from aiops.settings.routing_globs import parse_overrides
from aiops.settings.setting_parts import setting_parts
from data_contracts.schemas.metrics import hard_limit, nature_of, spec_of
from data_contracts.series.series_name import SeriesName
from data_contracts.series.text import metric_with_labels

if TYPE_CHECKING:
    from aiops.settings.routing_settings import RoutingSettings

TIERS: Final[Mapping[int, str]] = {1: "its own recent past", 2: "its seasonal band", 3: "the service as a whole"}
"""What each tier compares a point with."""
_KEPT_ROUTES: Final = 200_000


@dataclass(frozen=True, slots=True)
class Route:
    """First tier of a series, why, and who confirms a flag of tier 1, in the order asked; after them tier 1 alone decides.

    `critical`: tier 3 is asked at every scheduled tick, and its word needs no flag of tier 1.
    """

    tier: int
    reason: str
    confirmers: tuple[int, ...]
    critical: bool = False


@dataclass(frozen=True, slots=True)
class RoutingRules:
    """The configured part: globs of services, metrics and series (`service|metric`), and the limits of character."""

    critical_services: tuple[str, ...] = ()
    business_metrics: tuple[str, ...] = ()
    overrides: tuple[tuple[str, int], ...] = ()
    strong_season: float = 0.6
    intermittent: float = 0.5
    noisy: float = 1.0

    @classmethod
    def of(cls, settings: "RoutingSettings") -> "RoutingRules":
        """Return the rules of the settings. Raises: ConfigurationError, see `parse_overrides`."""
        return cls(
            setting_parts(settings.critical_services),
            setting_parts(settings.business_metrics),
            parse_overrides(settings.overrides),
            settings.strong_season,
            settings.intermittent,
            settings.noisy,
        )


class Router:
    """Routes of all series under one set of rules and one measurement of characters; the same answers however often asked."""

    def __init__(self, rules: RoutingRules, characters: Mapping[SeriesName, SeriesCharacter] | None = None) -> None:
        self._rules = rules
        self._measured = tuple(sorted(characters or {}, key=lambda name: name.text))
        self._characters = {name.series_id: character for name, character in (characters or {}).items()}
        self._routes: dict[SeriesName, Route] = {}
        self.version = _version(rules, characters or {})

    def character(self, series: SeriesName) -> SeriesCharacter | None:
        """Return what was measured of a series, None where nothing was."""
        return self._characters.get(series.series_id)

    @property
    def measured(self) -> tuple[SeriesName, ...]:
        """Return the series with a measured character, ascending as people read them."""
        return self._measured

    def route(self, series: SeriesName) -> Route:
        """Return the route of a series; its metric "" = no metric of the service stands out. Memory: bounded."""
        held = self._routes.get(series)
        if held is None:
            if len(self._routes) >= _KEPT_ROUTES:
                self._routes.clear()
            held = self._routes[series] = self._decide(series)
        return held

    def _decide(self, name: SeriesName) -> Route:
        rules = self._rules
        service, metric, series = name.service, name.metric, name.text
        glob, tier = next(((glob, tier) for glob, tier in rules.overrides if fnmatchcase(series, glob)), ("", 0))
        if tier:
            return Route(tier, f"override {glob}={tier}", (2, 3) if tier == 2 else (3, 2), critical=tier == 3)
        bandless = self._bandless(name)
        learned_first = (3,) if bandless or not metric else (3, 2)
        glob = next((glob for glob in rules.critical_services if fnmatchcase(service, glob)), "")
        if glob:
            return Route(3, f"critical service (matches {glob})", learned_first, critical=True)
        if not metric:
            return Route(3, "no metric of the service stands out", learned_first)
        nature, kind = self._nature(name)
        if bandless:
            return Route(1, f"{kind}, {bandless}: a seasonal band would say nothing", learned_first)
        if nature == "business":
            return Route(2, kind, (2, 3))
        season = self._season(name)
        if season >= rules.strong_season:
            return Route(2, f"{kind} with a strong season (strength {season:.2f}, limit {rules.strong_season:g})", (2, 3))
        return Route(1, kind, learned_first)

    def _nature(self, name: SeriesName) -> tuple[str, str]:
        """Return the nature of a metric and in words how it is known."""
        glob = next((glob for glob in self._rules.business_metrics if matches(name, glob)), "")
        if glob:
            return "business", f"business signal (matches {glob})"
        nature = nature_of(name.metric)
        return nature, f"{nature} signal ({spec_of(name.metric).signal})"

    def _season(self, series: SeriesName) -> float:
        character = self.character(series)
        return float("nan") if character is None else character.seasonality

    def _bandless(self, series: SeriesName) -> str:
        """Return why a series can have no useful band, with the number; "" where it can or nothing is known."""
        character = self.character(series)
        if character is None:
            return ""
        if character.intermittence >= self._rules.intermittent:
            share, limit = 100 * character.intermittence, 100 * self._rules.intermittent
            return f"intermittent (absent or 0 for {share:.0f} % of the time, limit {limit:g} %)"
        if character.noise >= self._rules.noisy:
            return f"very noisy (jumps by {character.noise:.2f} of its level, limit {self._rules.noisy:g})"
        return ""


def on_failure(route: Route) -> str:
    """Return in words who decides where a tier of the route is missing, late or failing.

    >>> on_failure(Route(2, "business signal", (2, 3)))
    'a flag of tier 1 is confirmed by tier 2; without its answer by tier 3; without that tier 1 decides alone'
    """
    first, *rest = route.confirmers
    others = "".join(f"; without its answer by tier {tier}" for tier in rest)
    return f"a flag of tier 1 is confirmed by tier {first}{others}; without that tier 1 decides alone"


def flagged_by(metric: str, novelty: bool, safety_net: bool) -> str:
    """Return in words what makes tier 1 flag a point of a series, with these parts of its second opinion on.

    >>> flagged_by("latency_p99_ms", False, False)
    'robust z beyond the alarm of the series, or a value outside its static limits'
    """
    conditions = ["robust z beyond the alarm of the series, or a value outside its static limits"]
    if novelty:
        conditions.append("a value or mean that is rare in its own history")
    if safety_net:
        bound = hard_limit(metric)
        conditions += [] if math.isinf(bound) else [f"a value of {bound:g} or more, its hard limit, confirmed or not"]
        conditions.append("the same value for far longer than ever before, confirmed or not")
    return "; ".join(conditions)


def matches(series: SeriesName, glob: str) -> bool:
    """Return whether a glob means the metric of a series, with or without its labels."""
    return fnmatchcase(series.metric, glob) or fnmatchcase(metric_with_labels(series.metric, series.labels), glob)


def _version(rules: RoutingRules, characters: Mapping[SeriesName, SeriesCharacter]) -> str:
    """Return 8 hex digits: equal = every series has the same route."""
    digest = blake2b(repr(rules).encode(), digest_size=4)
    for series, character in sorted(((name.text, measured) for name, measured in characters.items()), key=lambda row: row[0]):
        digest.update(f"{series}|{character.seasonality!r}|{character.intermittence!r}|{character.noise!r}\n".encode())
    return digest.hexdigest()
