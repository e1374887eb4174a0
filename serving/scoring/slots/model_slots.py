"""The models that answer whom: shared ones, and those of tenants that trained their own."""

import logging
import time
from collections.abc import Sequence
from typing import Final

from models.artifacts.tenant_models import own_name
from serving.host.log_rate_limit import LineLimit
from serving.scoring.slots.model_slot import ASK_AGAIN_S, ModelSlot, SwapObserver
from serving.scoring.slots.model_source import CHAMPION, ModelSource

MOST_TENANTS: Final = 64
"""Tenants whose own version of a model a worker holds; those beyond it get the shared one, and the log says so."""
_logger = logging.getLogger(__name__)
_lines = LineLimit(_logger, every_s=3600.0)


class ModelSlots:
    """One slot a model and alias, and one more for each tenant with a model of its own. `of` is asked by any thread."""

    def __init__(self, models: Sequence[str], aliases: Sequence[str], source: ModelSource, observer: SwapObserver) -> None:
        self._aliases = tuple(aliases)
        self._source = source
        self._observer = observer
        self._shared = {(name, alias): ModelSlot(name, alias, source, observer) for name in models for alias in aliases}
        self._own: dict[tuple[str, str, str], ModelSlot] = {}
        self._models = tuple(models)
        self._ask_at = 0.0

    @property
    def shared(self) -> tuple[ModelSlot, ...]:
        """Return the slots of the models that all tenants without one of their own share."""
        return tuple(self._shared.values())

    def of(self, model: str, alias: str, tenant: str) -> ModelSlot | None:
        """Return the slot that answers a tenant: its own once its own champion is loaded, else the shared one; None = no such."""
        champion = self._own.get((model, CHAMPION, tenant))
        if champion is not None and champion.current is not None:
            return self._own.get((model, alias, tenant))
        return self._shared.get((model, alias))

    def poll(self) -> bool:
        """Follow every alias once; return whether a model was swapped. Called by one thread only."""
        self._follow_tenants()
        swapped = [slot.poll(time.monotonic()) for slot in (*self._shared.values(), *self._own.values())]
        return any(swapped)

    def _follow_tenants(self) -> None:
        own = {(model, tenant): None for model in self._models for tenant in self._tenants_with(model)}
        wanted = {(model, alias, tenant) for model, tenant in own for alias in self._aliases}
        kept = {key: slot for key, slot in self._own.items() if key in wanted}
        for model, alias, tenant in sorted(wanted - set(kept)):
            kept[model, alias, tenant] = ModelSlot(own_name(model, tenant), alias, self._source, self._observer)
        if kept.keys() != self._own.keys():
            self._own = kept  # replaced as a whole: readers never see half of it

    def _tenants_with(self, model: str) -> Sequence[str]:
        if time.monotonic() < self._ask_at:
            return self._tenants_of(model)
        try:
            tenants = sorted(self._source.tenants_with(model))
        except Exception:
            _logger.exception("model %s: tenants with one of their own cannot be looked up; what is loaded stays", model)
            self._ask_at = time.monotonic() + ASK_AGAIN_S
            return self._tenants_of(model)
        if len(tenants) > MOST_TENANTS:
            many = f"model {model}: {len(tenants)} tenants have one of their own; a worker holds {MOST_TENANTS}"
            _lines.warn("many", f"{many}, {', '.join(tenants[MOST_TENANTS:][:5])} and others get the shared one")
        return tenants[:MOST_TENANTS]

    def _tenants_of(self, model: str) -> Sequence[str]:
        return sorted({tenant for name, _, tenant in self._own if name == model})
