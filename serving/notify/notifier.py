"""The notifier as the settings want it."""

from collections.abc import Callable
from datetime import datetime

from aiops.responder_settings import ResponderSettings
from serving.incident_store.store import IncidentStore
from serving.notify.channels import channels_of, escalation_names
from serving.notify.dispatcher import Dispatcher
from serving.notify.escalation import Escalations


def dispatcher_of(settings: ResponderSettings, store: IncidentStore, wall: Callable[[], datetime]) -> Dispatcher:
    """Return a dispatcher over all configured channels. In a replay, escalations go by the time of the telemetry.

    Raises:
        ConfigurationError: an address cannot be used.
    """
    desk_time = wall if settings.clock == "wall" else lambda: store.clock() or wall()
    escalations = Escalations(store, escalation_names(settings), 60.0 * settings.escalate_after_min, desk_time)
    return Dispatcher(store, channels_of(settings, wall), wall, escalations)
