"""Routes as the command line shows them: which tier, why, who confirms, what happens on failure, on which measured numbers."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from aiops.detection.routing import TIERS, Router, RoutingRules, flagged_by, on_failure
from aiops.errors import ConfigurationError
from aiops.features.series_character import SeriesCharacter
from aiops.settings.consumer_settings import ConsumerSettings
from aiops.settings.tree import Settings
from data_contracts.series.key import labels_text
from data_contracts.series.series_name import SeriesName
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.series.text import SeriesTextError, series_of, series_text
from serving.stream.consumer.routing_source import measured_characters


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
    unknown = f"series {series!r} is not service|metric; `aiops route list` shows those that are measured"
    try:
        key = series_of(series, DEFAULT_TENANT)
    except SeriesTextError as error:
        raise ConfigurationError(unknown) from error
    if not (key.service and key.metric):
        raise ConfigurationError(unknown)
    router = router_of(settings)
    text = series_text(key)
    known = (name for name in router.measured if name.text == text)
    queried = SeriesName(key.series_id, key.service, key.metric, labels_text(key.labels))
    return _explained(router, next(known, queried), settings.consumer)


def explain_all(settings: Settings) -> list[Explained]:
    """Return the routes of all series with a measured character, ascending by name."""
    router = router_of(settings)
    return [_explained(router, name, settings.consumer) for name in router.measured]


def router_of(settings: Settings) -> Router:
    """Return the routes in force: those that the consumer takes from the same lake.

    Raises:
        StateError: the table of characters is damaged.
    """
    return Router(RoutingRules.of(settings.routing), measured_characters(settings))


def _explained(router: Router, name: SeriesName, consumer: ConsumerSettings) -> Explained:
    route = router.route(name)
    character = router.character(name)
    return Explained(
        name.text,
        route.tier,
        TIERS[route.tier],
        route.reason,
        route.confirmers,
        route.critical,
        on_failure(route),
        flagged_by(name.metric, consumer.novelty, consumer.safety_net),
        None if character is None else _figures(character),
        router.version,
    )


def _figures(character: SeriesCharacter) -> dict[str, Any]:
    return {name: None if math.isnan(value) else value for name, value in asdict(character).items()}
