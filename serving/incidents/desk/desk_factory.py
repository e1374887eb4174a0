"""Puts the desk together from the settings, for the responder and for commands beside it.

Commands run in shells that lack the responder's settings. So the responder keeps in the store what its desk goes by (no secret
among it), and commands go by that: an incident closed by hand is closed at the channels that were paged, and by the same clock.
"""

import logging
from dataclasses import asdict, dataclass
from typing import Final, Literal, Self

import msgspec

from aiops.errors import StateError
from aiops.settings.tree import Settings
from aiops.topology.graph import ServiceGraph
from serving.incidents.desk.desk import Desk
from serving.incidents.desk.desk_transaction import Audience
from serving.incidents.notify.channels import base_url, channel_names
from serving.incidents.notify.routes import routed
from serving.incidents.store.incident_store import IncidentStore
from serving.lake.opening import open_lake
from serving.tables.graph_store import GraphStore

log = logging.getLogger(__name__)

TERMS: Final = "terms"
"""Note of the store: what the desk of the responder goes by."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a desk goes by: settings of `ResponderSettings` of the same names, and its audience."""

    clock: Literal["wall", "event"]
    settle_s: float
    window_s: float
    quiet_s: float
    storm_per_min: int
    pages_per_hour: int
    channels: tuple[str, ...]
    base_url: str
    page_settle_s: float = 3.0

    @classmethod
    def of(cls, settings: Settings, tenant: str) -> Self:
        """Return the terms of settings for a tenant."""
        responder, audience = settings.responder, audience_of(settings, tenant)
        times = (responder.clock, responder.settle_s, responder.window_s, responder.quiet_s)
        counts = (responder.storm_per_min, responder.pages_per_hour)
        return cls(*times, *counts, audience.channels, audience.base_url, responder.page_settle_s)


def audience_of(settings: Settings, tenant: str) -> Audience:
    """Return who is notified of a tenant's incidents."""
    return Audience(channel_names(routed(settings.responder, tenant)), base_url(settings.responder, settings.serving.host))


def keep_terms(settings: Settings, store: IncidentStore) -> None:
    """Keep what the desk of this process goes by, for commands beside it."""
    with store.writing() as writer:
        writer.note(TERMS, asdict(Terms.of(settings, store.tenant)))


def terms_in_force(settings: Settings, store: IncidentStore) -> Terms:
    """Return what the responder of a store goes by, or went by last; those of the settings where none has run."""
    noted = store.noted(TERMS)
    return Terms.of(settings, store.tenant) if noted is None else msgspec.convert(noted, Terms)


def desk_of(settings: Settings, store: IncidentStore, terms: Terms | None = None) -> Desk:
    """Return a desk over an open store, with the present call graph of the lake; by `terms`, None = by the settings."""
    terms = terms or Terms.of(settings, store.tenant)
    options = {name: value for name, value in asdict(terms).items() if name not in ("channels", "base_url")}
    return Desk(
        store,
        settings.responder.model_copy(update=options),
        _graph(settings, store.tenant),
        Audience(terms.channels, terms.base_url),
    )


def _graph(settings: Settings, tenant: str) -> ServiceGraph:
    """Return the present call graph; none where it is damaged, for alerts that are grouped badly are better than none."""
    try:
        return GraphStore(open_lake(settings).for_tenant(tenant)).graph()
    except StateError as error:
        log.error("alerts are grouped by service alone until the call graph can be read again: %s", error)
        return ServiceGraph.from_pairs(())
