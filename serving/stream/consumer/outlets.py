"""Where the results of committed entries go beside the broker: features to the online store, findings to other systems."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from serving.stream.consumer.export.findings_export import FindingsExport
from serving.stream.consumer.feature_flush import FeatureFlush
from serving.stream.consumer.partition_step import Step

_LAST_FLUSH_S: Final = 3.0
"""Who stops a process, and who waits for its partition, wait for no more; a million rows would take minutes."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outlets:
    """Takes in at once; threads of their own write."""

    features: FeatureFlush
    findings: FindingsExport

    def offer(self, partition: int, tenant: str, step: Step) -> None:
        """Take in what committed entries of a tenant gave."""
        self.features.offer(tenant, step.series_rows, step.service_rows)
        self.findings.offer(partition, tenant, step.judged)

    def forget(self, partition: int) -> None:
        """Show no findings of a partition any more: another process has it."""
        self.findings.forget(partition)

    def hand_over(self, partition: int) -> None:
        """Write the newest features before the next owner of a partition writes newer ones."""
        for loss in self._unwritten():
            log.warning("partition %d goes to another process: %s", partition, loss)

    def last_flush(self) -> Iterator[str]:
        """Write what is left, as nothing more will come; yield in words what was not written. Features take 3 s at most."""
        yield from self._unwritten()
        if not self.findings.flush():
            yield "the newest findings were not sent: the receiver at AIOPS_EXPORT__URL does not take them now"

    def _unwritten(self) -> Iterator[str]:
        for table, count in self.features.last_flush(_LAST_FLUSH_S).items():
            yield (
                f"the newest features of {count:,} {table} were not written online within {_LAST_FLUSH_S:g} s; "
                "nothing is lost with them: whoever computes them next writes newer ones"
            )
