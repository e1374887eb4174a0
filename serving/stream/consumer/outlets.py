"""Where the results of committed entries go beside the broker: features to the online store, findings to other systems."""

from collections.abc import Iterator
from dataclasses import dataclass

from serving.stream.consumer.export.findings_export import FindingsExport
from serving.stream.consumer.feature_flush import FeatureFlush
from serving.stream.consumer.partition_step import Step


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

    def last_flush(self) -> Iterator[str]:
        """Write what is left, as nothing more will come; yield in words what could not be written."""
        if not self.features.flush():
            yield "the newest features were not written online; the next start writes newer ones"
        if not self.findings.flush():
            yield "the newest findings were not sent: the receiver at AIOPS_EXPORT__URL does not take them now"
