"""Routes as the command line tells them: which tier, why, who confirms, what happens on failure, on which measured numbers."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from aiops.errors import ConfigurationError
from aiops.routing import TIERS, Router, RoutingRules, flagged_by, on_failure
from aiops.series_character import SeriesCharacter
from aiops.settings import ConsumerSettings, Settings
from serving.consumer.routing_source import measured_characters


@dataclass(frozen=True, slots=True)
class Explained:
    """The route of one series in words; `measured` None = its character is not measured yet: configuration alone decides."""

    series: str
    tier: int
    compares_with: str
    reason: str
    confirmed_by: tuple[int, ...]
    critical: bool
    on_failure: str
    flagged_by: str
    measured: dict[str, Any] | None
    routing_version: str


def explain(settings: Settings, series: str) -> Explained:
    """Return the route of "service|metric" under the settings and the lake's measured characters.

    Raises:
        ConfigurationError: the name has no `|`.
    """
    service, sign, metric = series.partition("|")
    if not (service and sign and metric):
        raise ConfigurationError(f"series {series!r} is not service|metric; `aiops route list` shows those that are measured")
    return _explained(router_of(settings), service, metric, settings.consumer)


def explain_all(settings: Settings) -> list[Explained]:
    """Return the routes of all series with a measured character, ascending by name."""
    router = router_of(settings)
    named = [name.partition("|") for name in router.measured]
    return [_explained(router, service, metric, settings.consumer) for service, _, metric in named]


def router_of(settings: Settings) -> Router:
    """Return the routes in force: those that the consumer takes from the same lake.

    Raises:
        StateError: the table of characters is damaged.
    """
    return Router(RoutingRules.of(settings.routing), measured_characters(settings))


def _explained(router: Router, service: str, metric: str, consumer: ConsumerSettings) -> Explained:
    route = router.route(service, metric)
    found = router.character(service, metric)
    return Explained(
        f"{service}|{metric}",
        route.tier,
        TIERS[route.tier],
        route.reason,
        route.confirmers,
        route.critical,
        on_failure(route),
        flagged_by(metric, consumer.novelty, consumer.safety_net),
        None if found is None else _figures(found),
        router.version,
    )


def _figures(character: SeriesCharacter) -> dict[str, Any]:
    return {name: None if math.isnan(value) else value for name, value in asdict(character).items()}
