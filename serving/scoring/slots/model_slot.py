"""The model that answers now: follow an alias, prove the new version, swap one reference.

Requests take the reference once and keep it until they are answered, so a swap never fails one; the old model goes when
its last request is done.
"""

import gc
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from aiops.errors import ArtifactError
from serving.scoring.requests.vector_rows import FEATURE_INDEX, SEQUENCE_INDEX
from serving.scoring.slots.model_source import CHAMPION, ModelSource, ServedModel

_logger = logging.getLogger(__name__)
RETRY_S: Final = 30.0
ASK_AGAIN_S: Final = 5.0
WARM_UP_CALLS: Final = 3
_TOLERANCE: Final = 1e-9


class SwapObserver(Protocol):
    """Hears of swaps and of failures to swap, once each."""

    def swapped(self, name: str, alias: str, old: str | None, new: str | None) -> None:
        """Count a swap from version `old` to `new`; None = no model."""
        ...

    def swap_failed(self, name: str, alias: str) -> None:
        """Count a version that was refused."""
        ...


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """What a slot serves and what went wrong last."""

    name: str
    alias: str
    version: str | None
    swaps: int
    failures: int
    refused_version: str | None
    error: str


class ModelSlot:
    """One alias of one model. `current` is read by any thread; `poll` is called by one thread only."""

    def __init__(self, name: str, alias: str, source: ModelSource, observer: SwapObserver) -> None:
        self.name = name
        self.alias = alias
        self._source = source
        self._observer = observer
        self._current: ServedModel | None = None
        self._status = SlotStatus(name, alias, None, 0, 0, None, "")
        self._retry_at = 0.0
        self._ask_at = 0.0

    @property
    def current(self) -> ServedModel | None:
        """Return the model that answers now; None until one was loaded."""
        return self._current

    @property
    def status(self) -> SlotStatus:
        """Return what is served, and the last refusal until it is resolved."""
        return self._status

    def poll(self, monotonic_s: float) -> bool:
        """Follow the alias; return whether the model was swapped.

        A version that cannot be loaded or proved leaves the old model in place; it is tried again after 30 s. A champion
        alias that is gone leaves the champion in place; a challenger alias that is gone ends the challenger.
        """
        if monotonic_s < self._ask_at:
            return False
        try:
            version = self._source.version_of(self.name, self.alias)
        except Exception as error:
            _logger.exception("model %s: the %s cannot be looked up; what is loaded stays", self.name, self.alias)
            self._ask_at = monotonic_s + ASK_AGAIN_S
            self._refuse(None, error)
            return False
        if version == self._status.version or (version is None and self.alias == CHAMPION):
            self._resolve()
            return False
        if version == self._status.refused_version and monotonic_s < self._retry_at:
            return False
        return self._load(version, monotonic_s)

    def _load(self, version: str | None, monotonic_s: float) -> bool:
        try:
            loaded = None if version is None else _proved(self._source.load(self.name, version))
        except Exception as error:
            _logger.exception("model %s: version %s was refused; the %s stays as it is", self.name, version, self.alias)
            self._retry_at = monotonic_s + RETRY_S
            self._refuse(version, error)
            return False
        self._swap(loaded)
        return True

    def _swap(self, loaded: ServedModel | None) -> None:
        old = self._current.version if self._current is not None else None
        new = loaded.version if loaded is not None else None
        self._current = loaded
        self._status = replace(self._status, version=new, swaps=self._status.swaps + 1, refused_version=None, error="")
        self._observer.swapped(self.name, self.alias, old, new)
        _logger.info("model %s: %s is version %s now (was %s)", self.name, self.alias, new, old)

    def _refuse(self, version: str | None, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"[:300]
        self._status = replace(self._status, failures=self._status.failures + 1, refused_version=version, error=text)
        self._observer.swap_failed(self.name, self.alias)

    def _resolve(self) -> None:
        if self._status.error:
            self._status = replace(self._status, refused_version=None, error="")


def _proved(served: ServedModel) -> ServedModel:
    """Return `served` after a warm-up in which its example gave the expected scores.

    Raises:
        ArtifactError: shapes, feature names or scores are not what the example says.
    """
    model = served.model
    strangers = [name for name in model.features if name not in FEATURE_INDEX and name not in SEQUENCE_INDEX]
    if strangers:
        raise ArtifactError(f"features = {strangers}: unknown to this service. Serve it with the release that trained it.")
    expected = (len(served.example_rows), len(model.outputs))
    if not len(served.example_rows) or served.example_scores.shape != expected or model.thresholds.shape != expected[1:]:
        raise ArtifactError(f"example_scores, thresholds: shapes do not fit {expected}. Export the version anew.")
    scores = model.score(served.example_rows)
    if not np.allclose(scores, served.example_scores, rtol=0.0, atol=_TOLERANCE, equal_nan=True):
        worst = float(np.nanmax(np.abs(scores - served.example_scores)))
        raise ArtifactError(
            f"example scores differ by {worst:.3g} from those at training. Do not serve this version; train anew."
        )
    for _ in range(WARM_UP_CALLS):
        model.score(served.example_rows[:1])
    model.explain(served.example_rows[:1])
    return served


class SlotPoller:
    """Calls `poll`, which polls slots, in one daemon thread, first synchronously once; calls `after_poll` after every round."""

    def __init__(self, poll: Callable[[], bool], poll_s: float, after_poll: Callable[[], None]) -> None:
        self._poll = poll
        self._poll_s = poll_s
        self._after_poll = after_poll
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="model-slots", daemon=True)

    def start(self) -> None:
        """Load what the aliases name now, then keep following them."""
        self.poll_once()
        self._thread.start()

    def poll_once(self) -> bool:
        """Poll every slot once; after a swap the heap is collected and frozen, so that no later collection walks it."""
        swapped = self._poll()
        if swapped:
            gc.collect()
            gc.freeze()
        self._after_poll()
        return swapped

    def stop(self) -> None:
        """End the thread; a load in progress is finished first."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=RETRY_S)

    def _run(self) -> None:
        while not self._stop.wait(self._poll_s):
            self.poll_once()
