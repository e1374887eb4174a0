"""What actions on the suite itself reach of a tenant: its silences, its models, its channels. Opens nothing by itself."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from aiops.settings.tree import Settings
from serving.automation.actions.catalog import SuiteReach
from serving.automation.actions.notification import TenantChannels
from serving.automation.actions.suite_model_rollback import TenantModels
from serving.automation.actions.suite_silence import TenantSilences
from serving.incidents.notify.channels import base_url, channel_names
from serving.incidents.notify.routes import routed
from serving.incidents.store.incident_store import IncidentStore

if TYPE_CHECKING:
    from models.artifacts.registry import Registry


def suite_reach(settings: Settings, store: IncidentStore, now: Callable[[], datetime]) -> SuiteReach:
    """Return what belongs to the tenant of a store; `now`: the time by which its incidents go."""

    def registry() -> "Registry":
        from models.artifacts.registry import Registry

        return Registry(settings.model_copy(update={"tenant": store.tenant}))

    return SuiteReach(
        TenantSilences(store, now),
        TenantModels(registry, now),
        TenantChannels(
            store,
            lambda: channel_names(routed(settings.responder, store.tenant)),
            lambda: base_url(settings.responder, settings.serving.host),
            now,
        ),
    )
