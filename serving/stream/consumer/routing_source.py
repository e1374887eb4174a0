"""The routes in force: the configured rules, and the characters that the pipeline has measured, read again now and then."""

import logging
from collections.abc import Callable

from aiops.detection.routing import Router, RoutingRules
from aiops.errors import AiopsError
from aiops.features.series_character import SeriesCharacter, characters_of
from aiops.settings.tree import Settings
from data_contracts.series.series_name import SeriesName
from data_contracts.series.tenant import DEFAULT_TENANT

TABLE = "series_character"

log = logging.getLogger(__name__)


class RoutingSource:
    """Routes of one tenant: by configuration, and by measured character where the lake has it; one thread.

    Without the table (nothing measured yet, or a consumer that does not share the lake) configuration alone decides. A table
    that cannot be read is named once and tried again; the routes before it stay.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float], tenant: str = DEFAULT_TENANT) -> None:
        self._settings = settings
        self._tenant = tenant
        self._clock = clock
        self._rules = RoutingRules.of(settings.routing)
        self._router = Router(self._rules)
        self._read_at = -float("inf")
        self._complaint = ""

    def router(self) -> Router:
        """Return the routes in force; the table is read again every `routing.refresh_s`."""
        if self._clock() - self._read_at >= self._settings.routing.refresh_s:
            self._read_at = self._clock()
            self._read()
        return self._router

    def _read(self) -> None:
        try:
            router = Router(self._rules, measured_characters(self._settings, self._tenant))
        except (AiopsError, OSError) as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.error("routing stays at version %s: %s", self._router.version, error)
            return
        self._complaint = ""
        if router.version != self._router.version:
            log.info("routing version %s: %d series with a measured character", router.version, len(router.measured))
        self._router = router


class TenantRoutes:
    """The routes of every tenant asked about; bounded by the tenants that stage 1 takes."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._sources: dict[str, RoutingSource] = {}

    def router(self, tenant: str) -> Router:
        """Return the routes in force for a tenant."""
        if tenant not in self._sources:
            self._sources[tenant] = RoutingSource(self._settings, self._clock, tenant)
        return self._sources[tenant].router()


def measured_characters(settings: Settings, tenant: str = DEFAULT_TENANT) -> dict[SeriesName, SeriesCharacter]:
    """Return what the lake knows of each series of a tenant; none where nothing was measured.

    Raises:
        StateError: a file of the table is damaged.
    """
    from serving.lake.opening import open_lake

    return characters_of(open_lake(settings).for_tenant(tenant).read(TABLE))
