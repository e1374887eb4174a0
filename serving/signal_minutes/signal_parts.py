"""What the stage works with."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from serving.signal_minutes.call_sightings import CallGraph
from serving.signal_minutes.minute_appends import AppendRules
from serving.signal_minutes.minute_series import Makers
from serving.signal_minutes.partition_minutes import PartitionRules
from serving.signal_minutes.signal_metrics import SignalMetrics
from serving.stream import streams
from serving.stream.ownership.ownership import Ownership
from serving.tables.signal_texts import SignalTextStore


@dataclass(frozen=True, slots=True)
class SignalParts:
    """What the stage works with; `graph_of` a tenant keeps its calls, `texts_of` what its series are about; None = not kept.

    A turn reads `read_entries` of a partition at most, and waits `block_ms` for the first.
    """

    broker: streams.Streams
    rules: PartitionRules
    makers: Makers
    appends: AppendRules
    metrics: SignalMetrics
    ownership: Ownership
    checkpoint_folder: Path
    stop: threading.Event
    graph_of: Callable[[str], CallGraph] | None = None
    texts_of: Callable[[str], SignalTextStore] | None = None
    checkpoint_s: float = 10.0
    read_entries: int = 16
    block_ms: int = 500

    def wait(self, seconds: float) -> bool:
        """Wait, and say meanwhile that the stage is alive; return whether to stop."""
        self.metrics.beat("signals")
        return self.stop.wait(seconds)
