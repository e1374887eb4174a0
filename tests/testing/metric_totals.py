"""What a counter of prometheus_client has counted, by its public interface."""

from prometheus_client import Counter


def total_of(counter: Counter) -> float:
    """Return the total of a counter, of all its labels together."""
    samples = [sample for metric in counter.collect() for sample in metric.samples]
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))
