"""Nezha: one day of a microservice application, metrics of every pod each minute, and the faults injected that day.

Only `Time` and `inject_time` are right (both UTC). A latency of NaN says that a pod served nothing in that minute, so it
is no sample. `PodSuccessRate` (and the front's, in one application) is constantly 0: never measured, left out.
Other success rates become percent of failure. Source: https://github.com/IntelligentDDS/Nezha
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from aiops.errors import SourceError
from aiops.types import HistorySplit
from data_contracts.schemas.telemetry_schemas import INCIDENTS
from data_contracts.values.moments import moment_of_us
from serving.ingest.pull.corpus import (
    CorpusSeries,
    arranged,
    complement,
    is_constant_zero,
    melted,
    read_cells,
    replaced,
    texts_of,
    without_nan,
)
from serving.ingest.pull.source_options import SourceOptions
from serving.ingest.pull.source_rows import Rows
from serving.ingest.pull.truth_files import call_table

FAULT_WINDOW: Final = timedelta(minutes=6)
"""The files do not say how long a fault lasts; metrics of the injected pods stray for 3 to 6 minutes."""

FAULT_FREE_FROM: Final = timedelta(hours=20)
"""From here to midnight no fault is injected."""

_POD_METRICS: Final = {
    "CpuUsage(m)": "cpu_usage_millicores",
    "CpuUsageRate(%)": "cpu_usage_percent",
    "MemoryUsage(Mi)": "memory_usage_mebibytes",
    "MemoryUsageRate(%)": "memory_usage_percent",
    "SyscallRead": "syscall_read_count",
    "SyscallWrite": "syscall_write_count",
    "NetworkReceiveBytes": "network_receive_bytes",
    "NetworkTransmitBytes": "network_transmit_bytes",
    "PodClientLatencyP90(s)": "client_latency_p90_s",
    "PodServerLatencyP90(s)": "server_latency_p90_s",
    "PodClientLatencyP95(s)": "client_latency_p95_s",
    "PodServerLatencyP95(s)": "server_latency_p95_s",
    "PodClientLatencyP99(s)": "client_latency_p99_s",
    "PodServerLatencyP99(s)": "server_latency_p99_s",
    "PodWorkload(Ops)": "workload_per_second",
    "PodSuccessRate(%)": "error_percent",
    "NodeCpuUsageRate(%)": "node_cpu_usage_percent",
    "NodeMemoryUsageRate(%)": "node_memory_usage_percent",
    "NodeNetworkReceiveBytes": "node_network_receive_bytes",
}
_FRONT_METRICS: Final = {
    "SuccessRate(%)": "front_error_percent",
    "LatencyP50(s)": "front_latency_p50_s",
    "LatencyP90(s)": "front_latency_p90_s",
    "LatencyP95(s)": "front_latency_p95_s",
    "LatencyP99(s)": "front_latency_p99_s",
}
_CALL_FILES: Final = {"source_50.csv": "call_source_latency_p50_s", "destination_50.csv": "call_destination_latency_p50_s"}
_TIME: Final = r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?)\d* ([+-]\d\d):?(\d\d)\b.*$"


def service_of(pod: str) -> str:
    """Return the service of a pod: its name without the last two dash groups.

    >>> service_of("ts-order-service-5b67c48447-mv5hb")
    'ts-order-service'
    """
    return pod.rsplit("-", 2)[0]


@dataclass(frozen=True, slots=True)
class NezhaSource:
    """TelemetrySource over one day's folder with `metric/` and the fault list. A day is sorted in memory (≤ 250 MB)."""

    folder: Path

    @property
    def name(self) -> str:
        """Return "nezha"."""
        return "nezha"

    def batches(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[pa.Table]:
        """Yield the day's telemetry in order of time.

        Raises:
            SourceError: a file of the corpus is damaged.
        """
        yield from self._rows().within(start, end).chunks()

    def edges(self) -> pa.Table:
        """Return the calls between services that have pods: from `dependency.csv` and the files of call latencies."""
        services = {service_of(pod) for pod in self._pods()}
        pairs = {pair for file in _CALL_FILES for _, pair in self._calls(file)}
        dependency = self.folder / "metric" / "dependency.csv"
        if dependency.is_file():
            table = read_cells(dependency)
            pairs |= set(zip(texts_of(table, "Source"), texts_of(table, "Target"), strict=True))
        known = sorted((caller, callee) for caller, callee in pairs if {caller, callee} <= services and caller != callee)
        return call_table(known)

    def incidents(self) -> pa.Table:
        """Return the injected faults; the end of each is `FAULT_WINDOW` after its start."""
        rows: list[dict[str, Any]] = []
        for start, service, kind in sorted(
            fault for path in sorted(self.folder.glob("*fault_list.json")) for fault in _faults(path)
        ):
            rows.append(
                {
                    "incident_id": f"nezha-{start:%Y%m%dT%H%M%S}-{service}",
                    "service": service,
                    "kind": kind,
                    "onset_at": start,
                    "starts_at": start,
                    "ends_at": start + FAULT_WINDOW,
                    "known_at": start + FAULT_WINDOW,
                }
            )
        return pa.Table.from_pylist(rows, schema=INCIDENTS)

    def split(self) -> HistorySplit:
        """Return the fault-free hours from 20:00 to midnight as history and the day before them as replay."""
        at = self._rows().readable_at
        if not len(at):
            raise SourceError(f"{self.folder}: no row has a readable Time; restore the files of the corpus")
        first, last = moment_of_us(int(at[0])), moment_of_us(int(at.max())) + timedelta(microseconds=1)
        evening = first.replace(hour=0, minute=0, second=0, microsecond=0) + FAULT_FREE_FROM
        return HistorySplit(history_start=evening, history_end=max(last, evening), replay_start=first, replay_end=evening)

    def _pods(self) -> list[str]:
        return sorted(path.name.removesuffix("_metric.csv") for path in (self.folder / "metric").glob("*_metric.csv"))

    def _rows(self) -> Rows:
        pods = self._pods()
        replicas = Counter(service_of(pod) for pod in pods)
        parts = []
        for pod in pods:
            labels = (("pod", pod),) if replicas[service_of(pod)] > 1 else ()
            parts.append(_pod_rows(self.folder / "metric" / f"{pod}_metric.csv", service_of(pod), labels))
        front = self.folder / "metric" / "front_service.csv"
        if front.is_file():
            parts += _front_rows(front)
        for file, metric in _CALL_FILES.items():
            calls = self._calls(file)
            if calls:
                series = [CorpusSeries(column, caller, metric, (("callee", callee),)) for column, (caller, callee) in calls]
                parts.append(melted(_timed(self.folder / "metric" / file), "time", series))
        return arranged(parts)

    def _calls(self, file: str) -> list[tuple[str, tuple[str, str]]]:
        """Return (column, (caller, callee)) of a file of call latencies; nothing where the day has none."""
        path = self.folder / "metric" / file
        if not path.is_file():
            return []
        with path.open(newline="", encoding="utf-8-sig") as lines:
            header = next(csv.reader(lines), [])
        services = {service_of(pod) for pod in self._pods()}
        return [(column, pair) for column in header for pair in _ends(column, services)]


def _ends(column: str, services: set[str]) -> list[tuple[str, str]]:
    """Return the one (caller, callee) that `caller_callee` can mean, if any."""
    parts = column.split("_")
    pairs = [("_".join(parts[:cut]), "_".join(parts[cut:])) for cut in range(1, len(parts))]
    known = [pair for pair in pairs if set(pair) <= services]
    return (known or (pairs if len(pairs) == 1 and column.lower() not in {"time", "timestamp"} else []))[:1]


def _timed(path: Path) -> pa.Table:
    """Return a file's cells, its column time (or Time) as `time` in ISO 8601, and NaN latencies emptied."""
    block = read_cells(path)
    names = [name.lower() if name.lower() == "time" else name for name in block.column_names]
    if "time" not in names:
        raise SourceError(f"{path}: no column 'Time'; restore the file of the corpus")
    block = block.rename_columns(names)
    pattern = pc.ReplaceSubstringOptions(_TIME, r"\1\2:\3")
    times = pc.call_function("replace_substring_regex", [block["time"].combine_chunks()], pattern)
    block = replaced(block, "time", times)
    for column in block.column_names:
        if "Latency" in column or path.name in _CALL_FILES:
            block = replaced(block, column, without_nan(block[column]))
    return block


def _measured(block: pa.Table, column: str) -> pa.Table | None:
    """Return the block with a success rate turned into percent of failure; None where it was never measured."""
    if not column.endswith("SuccessRate(%)"):
        return block
    return None if is_constant_zero(block[column]) else replaced(block, column, complement(block[column].combine_chunks()))


def _pod_rows(path: Path, service: str, labels: tuple[tuple[str, str], ...]) -> Rows:
    block, series = _timed(path), []
    for column in block.column_names:
        metric = _POD_METRICS.get(column)
        kept = _measured(block, column) if metric else None
        if metric and kept is not None:
            block = kept
            series.append(CorpusSeries(column, service, metric, labels))
    if not series:
        raise SourceError(
            f"{path}: none of its columns is known ({', '.join(block.column_names)}); restore the file of the corpus"
        )
    return melted(block, "time", series)


def _front_rows(path: Path) -> Sequence[Rows]:
    """Return what users see at the front door, one part for each service named there."""
    block = _timed(path)
    columns = [(column, _FRONT_METRICS[column]) for column in block.column_names if column in _FRONT_METRICS]
    names = texts_of(block, "ServiceName") if "ServiceName" in block.column_names else ["frontend"] * block.num_rows
    parts = []
    for name in sorted(set(names)):
        rows = block.filter(pa.array([other == name for other in names]))
        series = []
        for column, metric in columns:
            kept = _measured(rows, column)
            if kept is not None:
                rows = kept
                series.append(CorpusSeries(column, name.lower(), metric))
        if series:
            parts.append(melted(rows, "time", series))
    return parts


def _faults(path: Path) -> Iterator[tuple[datetime, str, str]]:
    """Yield (start, service, kind) of a fault list: a JSON object hour -> faults."""
    try:
        hours = json.loads(path.read_text(encoding="utf-8"))
        for fault in (fault for faults in hours.values() for fault in faults):
            start = datetime.strptime(re.sub(r"\s+", " ", fault["inject_time"].strip()), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
            yield start, service_of(fault["inject_pod"]), str(fault["inject_type"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{path}: cannot be read as a fault list: {error!r}; restore the file of the corpus") from error


def open_nezha(options: SourceOptions) -> NezhaSource:
    """Return the source over the folder of one day.

    Raises:
        SourceError: the folder holds no `metric/` with files of pods.
    """
    folder = options.folder("nezha")
    source = NezhaSource(folder)
    if not any((folder / "metric").glob("*_metric.csv")):
        raise SourceError(f"{folder}: holds no metric/*_metric.csv; give the folder of one day, for example rca_data/2022-08-22")
    return source
