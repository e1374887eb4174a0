"""Puts the desk together from the settings, for the responder and for commands beside it."""

from aiops.settings import Settings
from serving.graph_store import GraphStore
from serving.incident_store.store import IncidentStore
from serving.lake import Lake
from serving.notify.channels import base_url, channel_names
from serving.responder.desk import Desk
from serving.responder.turn import Audience


def audience_of(settings: Settings) -> Audience:
    """Return who hears of incidents."""
    return Audience(channel_names(settings.responder), base_url(settings.responder, settings.serving.host))


def desk_of(settings: Settings, store: IncidentStore) -> Desk:
    """Return a desk over an open store, with the present call graph of the lake.

    Raises:
        StateError: the call graph is damaged.
    """
    graph = GraphStore(Lake(settings.lake_path)).graph()
    return Desk(store, settings.responder, graph, audience_of(settings))
