"""What tier 1 alone says of a recording, healthy or not: service-minutes with a detection, and pages. No model, no history.

    python -m tests.benchmarks.bench_healthy --home AIOPS_HOME      # the points that a living system sent, from the lake
    python -m tests.benchmarks.bench_healthy --source nezha --path Nezha/rca_data/2022-08-22
    python -m tests.benchmarks.bench_healthy --source simulate --seed 101 --hours 6

Of a source only the part before its replay is read; of the simulator all, without incidents. The points go through the
consumer's own stage 1, the decision without opinions and the responder's correlation.
"""

import argparse
import itertools
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from aiops.detection.detection_rows import context_of, judged
from aiops.detection.levels import CatalogueLevels, Tier1
from aiops.detection.routing import Router, RoutingRules
from aiops.features.engine import EngineConfig
from aiops.incidents.correlation.correlation_config import CorrelationConfig
from aiops.incidents.correlation.correlator import Correlator
from aiops.settings.tree import Settings
from aiops.topology.graph import ServiceGraph
from data_contracts.series.key import labels_of
from data_contracts.telemetry.codec import encode
from data_contracts.values.moments import moment_of_us
from serving.incidents.desk.detection_alerts import AlertRules, alerts_of_detections
from serving.ingest.pull.source_options import SourceOptions
from serving.ingest.pull.source_registry import open_source
from serving.lake.opening import open_lake
from serving.stream import streams
from serving.stream.consumer.partition import Partition, PartitionConfig
from serving.stream.consumer.second_opinion import Watched

NO_GRAPH = ServiceGraph.from_pairs(())
HOUR = timedelta(hours=1)


def points_of_home(home: Path) -> pa.Table:
    """Return the telemetry of a lake in order of availability."""
    points = open_lake(Settings(home=home)).for_tenant("default").read("telemetry").sort_by("available_at")
    texts = [str(text) for text in points["labels"].to_pylist()]
    pairs = {text: list(labels_of(text)) for text in set(texts)}
    labels = pa.array([pairs[text] for text in texts], pa.map_(pa.string(), pa.string()))
    return points.set_column(points.schema.get_field_index("labels"), "labels", labels)


def points_of_source(options: argparse.Namespace) -> pa.Table:
    """Return the history of a source in order of time."""
    simulated = options.source == "simulate"
    simulation = SourceOptions(seed=options.seed, hours=options.hours, incidents_per_day=0.0)
    source = open_source(options.source, simulation if simulated else SourceOptions(path=options.path))
    split = source.split()
    end = split.replay_end if simulated else split.history_end
    return pa.concat_tables(list(source.batches(split.history_start, end))).sort_by("timestamp")


def entries_of(points: pa.Table) -> Iterator[streams.Entry]:
    """Yield the points of every 5 s as one entry, known at its end."""
    known = "available_at" if "available_at" in points.column_names else "timestamp"
    moments = points[known].cast(pa.int64()).to_numpy()
    cuts = [0, *(np.flatnonzero(np.diff(moments // 5_000_000)) + 1).tolist(), len(moments)]
    for number, (first, end) in enumerate(itertools.pairwise(cuts)):
        payload = encode(points.slice(first, end - first))
        yield streams.Entry(f"{number + 1}-0", streams.KIND_TELEMETRY, payload, 0, int(moments[first:end].max()))


def main() -> None:
    """Print the figures, and the metrics that were named most often."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--source", default="simulate")
    parser.add_argument("--path", type=Path)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--step-s", type=int, default=60)
    options = parser.parse_args()
    points = points_of_home(options.home) if options.home else points_of_source(options)
    step_us = options.step_s * 1_000_000
    engine = EngineConfig(step_s=options.step_s)
    partition = Partition.new(
        PartitionConfig(
            engine, NO_GRAPH, Tier1(CatalogueLevels(), ""), step_us, 30_000_000, 5 * step_us, 10**9, 10**6, Watched(False, True)
        )
    )
    correlator, router = Correlator(NO_GRAPH, CorrelationConfig()), Router(RoutingRules())
    named: Counter[tuple[str, str]] = Counter()
    pages = 0
    now = datetime.min.replace(tzinfo=UTC)
    for entry in entries_of(points):
        for candidates in partition.apply([entry]).candidates:
            detections = pa.Table.from_batches([judged(candidates, {}, context_of(candidates, router))])
            correlator.add(alerts_of_detections(detections, AlertRules()).alerts)
            rows = zip(*(detections[name].to_pylist() for name in ("service", "metric", "anomalous")), strict=True)
            named.update((str(service), str(metric)) for service, metric, anomalous in rows if anomalous)
        now = max(now, moment_of_us(entry.available_us))
        pages += len(correlator.advance(now).pages)
    pages += len(correlator.advance(now + HOUR).pages)
    times = points["timestamp"].cast(pa.int64()).to_numpy()
    services = len(points["service"].unique())
    steps = max(0, int(times.max() - times.min()) // step_us - 10)
    print(f"{points.num_rows:,} points of {services} services, {steps * services:,} service-steps after the warm-up")
    print(f"{named.total():,} of them with a detection, {pages} pages")
    for (service, metric), count in named.most_common(10):
        print(f"{count:6} {service} {metric}")


if __name__ == "__main__":
    main()
