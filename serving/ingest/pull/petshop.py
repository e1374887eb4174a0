"""PetShop: metrics of a web shop at 5-minute steps, its call graph, and issues with their root cause; one scenario's folder.

Nodes ending in `_remote` or `_client` only mirror another node: their metrics are left out and calls through them are joined.
Availability becomes percent of errors. An empty cell is no sample. The fault-free time is four months after the issues: it
is the history. Source: https://github.com/amazon-science/petshop-root-cause-analysis
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from aiops.errors import SourceError
from aiops.types import HistorySplit
from data_contracts.schemas.telemetry_schemas import INCIDENTS
from data_contracts.values.moments import moment_of_us
from serving.ingest.pull.corpus import CorpusSeries, arranged, complement, melted, read_cells, without_nan
from serving.ingest.pull.source_options import SourceOptions
from serving.ingest.pull.source_rows import Rows
from serving.ingest.pull.time_columns import read_epochs
from serving.ingest.pull.truth_files import call_table

STEP: Final = timedelta(minutes=5)
_HEADER_LINES: Final = 3
_ALIASES: Final = ("_remote", "_client")
_METRICS: Final = {
    ("latency", "Average"): "latency_mean_s",
    ("latency", "p50"): "latency_p50_s",
    ("latency", "p90"): "latency_p90_s",
    ("latency", "p95"): "latency_p95_s",
    ("latency", "p99"): "latency_p99_s",
    ("requests", "Sum"): "requests_per_5min",
    ("availability", "Average"): "error_percent",
}


@dataclass(frozen=True, slots=True)
class PetShopIssue:
    """One injected issue: its symptom: service and golden signal (latency or errors), and the node that was broken."""

    split: str
    name: str
    symptom_service: str
    signal: str
    root: str
    metrics: Path

    def rows(self) -> pa.Table:
        """Return the telemetry of its few steps.

        Raises:
            SourceError: the file is damaged.
        """
        return pa.concat_tables(list(arranged([_rows(self.metrics)]).chunks()))


@dataclass(frozen=True, slots=True)
class PetShopSource:
    """TelemetrySource over one scenario: `graph.csv`, `noissue/` and the issues below `train/` and `test/`."""

    folder: Path

    @property
    def name(self) -> str:
        """Return "petshop"."""
        return "petshop"

    def batches(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[pa.Table]:
        """Yield all telemetry in order of time: the issues first, the fault-free time last.

        Raises:
            SourceError: a file of the corpus is damaged.
        """
        yield from arranged([_rows(path) for path in (*self._issues(), self._quiet())]).within(start, end).chunks()

    def edges(self) -> pa.Table:
        """Return the calls between nodes that are no aliases."""
        path = self.folder / "graph.csv"
        with _opened(path) as lines:
            rows = list(csv.reader(lines))
        callees = rows[0][1:] if rows else []
        if not callees or any(len(row) != len(callees) + 1 for row in rows):
            raise SourceError(f"{path}: is no adjacency matrix (row calls column); restore the file of the corpus")
        calls = {row[0]: [callee for callee, cell in zip(callees, row[1:], strict=True) if _is_call(cell)] for row in rows[1:]}
        pairs = sorted({(caller, callee) for caller in calls if not is_alias(caller) for callee in _reached(caller, calls)})
        return call_table(pairs)

    def incidents(self) -> pa.Table:
        """Return the issues: root = the node the authors broke, start = when they saw its effect, end = the last step.

        `kind` is the metric in which it showed: latency or availability.
        """
        rows = [_incident(path) for path in self._issues()]
        return pa.Table.from_pylist(sorted(rows, key=lambda row: row["starts_at"]), schema=INCIDENTS)

    def split(self) -> HistorySplit:
        """Return the time without an issue as history and the time of the issues as replay."""
        quiet, issues = _times(self._quiet()), np.concatenate([_times(path) for path in self._issues()])
        end = timedelta(microseconds=1)
        return HistorySplit(
            history_start=moment_of_us(int(quiet.min())),
            history_end=moment_of_us(int(quiet.max())) + end,
            replay_start=moment_of_us(int(issues.min())),
            replay_end=moment_of_us(int(issues.max())) + end,
        )

    def issues(self) -> tuple[PetShopIssue, ...]:
        """Return the issues by split and name.

        Raises:
            SourceError: an issue's truth cannot be read.
        """
        return tuple(_issue(path) for path in self._issues())

    def calm(self) -> pa.Table:
        """Return the telemetry of the time without an issue."""
        return pa.concat_tables(list(arranged([_rows(self._quiet())]).chunks()))

    def _quiet(self) -> Path:
        return self.folder / "noissue" / "metrics.csv"

    def _issues(self) -> list[Path]:
        return sorted(self.folder.glob("t*/issue_*/metrics.csv"))


def is_alias(node: str) -> bool:
    """Return whether a node only mirrors another one.

    >>> is_alias("PetSearch_client")
    True
    """
    return node.endswith(_ALIASES)


def _is_call(cell: str) -> bool:
    return cell.strip() not in {"", "0", "0.0"}


def _reached(caller: str, calls: dict[str, list[str]]) -> set[str]:
    """Return the callees that are no aliases, directly or through aliases."""
    reached: set[str] = set()
    seen: set[str] = set()
    waiting = list(calls.get(caller, ()))
    while waiting:
        callee = waiting.pop()
        if not is_alias(callee):
            reached.add(callee)
        elif callee not in seen:
            seen.add(callee)
            waiting += calls.get(callee, ())
    return reached - {caller}


def _opened(path: Path) -> Any:
    try:
        return path.open(newline="", encoding="utf-8-sig")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error}; restore the file of the corpus") from error


def _header(path: Path) -> list[tuple[str, str, str]]:
    """Return (service, metric, statistic) of each column after the first."""
    with _opened(path) as lines:
        head = [row for _, row in zip(range(_HEADER_LINES), csv.reader(lines), strict=False)]
    if len(head) < _HEADER_LINES or len({len(row) for row in head}) != 1:
        raise SourceError(f"{path}: has no header of three lines (service, metric, statistic); restore the file of the corpus")
    return list(zip(*(row[1:] for row in head), strict=True))


def _table(path: Path) -> tuple[pa.Table, Sequence[tuple[str, str, str]]]:
    """Return the cells, columns named at, c0, c1, …, and what each column is; the line naming the index is left out."""
    header = _header(path)
    names = ["at", *(f"c{number}" for number in range(len(header)))]
    block = read_cells(path, _HEADER_LINES, names)
    first = str(block["at"][0].as_py()) if block.num_rows else ""
    return (block.slice(1) if first == "unix_timestamp" else block), header


def _rows(path: Path) -> Rows:
    block, header = _table(path)
    columns: dict[str, Any] = {"at": block["at"]}
    series = []
    for number, (service, metric, statistic) in enumerate(header):
        if is_alias(service):
            continue
        column = f"c{number}"
        cells = without_nan(block[column])
        columns[column] = complement(cells) if metric == "availability" else cells
        series.append(CorpusSeries(column, service, _METRICS.get((metric, statistic), f"{metric}_{statistic}".lower())))
    return melted(pa.table(columns), "at", series)


def _times(path: Path) -> Any:
    return read_epochs(_table(path)[0]["at"].combine_chunks())


def _truth(metrics: Path) -> tuple[str, str, str, Any]:
    """Return (root, service of the symptom, metric, time) of an issue."""
    path = metrics.with_name("target.json")
    try:
        truth = json.loads(path.read_text(encoding="utf-8"))
        target = truth["target"]
        at = moment_of_us(int(float(target["timestamp"]) * 1e6))
        return str(truth["root_cause"]["node"]), str(target["node"]), str(target["metric"]), at
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{path}: cannot be read as an issue's truth: {error!r}; restore the file of the corpus") from error


def _issue(metrics: Path) -> PetShopIssue:
    root, symptom_service, metric, _ = _truth(metrics)
    signal = "errors" if metric == "availability" else metric
    return PetShopIssue(metrics.parent.parent.name, metrics.parent.name, symptom_service, signal, root, metrics)


def _incident(metrics: Path) -> dict[str, Any]:
    root, _, kind, starts_at = _truth(metrics)
    ends_at = max(moment_of_us(int(_times(metrics).max())), starts_at) + STEP
    return {
        "incident_id": f"petshop-{metrics.parent.parent.name}-{metrics.parent.name}",
        "service": root,
        "kind": kind,
        "onset_at": starts_at,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "known_at": ends_at,
    }


def open_petshop(options: SourceOptions) -> PetShopSource:
    """Return the source over the folder of one scenario.

    Raises:
        SourceError: the folder holds no `graph.csv`, no `noissue/metrics.csv` or no issue.
    """
    folder = options.folder("petshop")
    for needed in ("graph.csv", "noissue/metrics.csv", "t*/issue_*/metrics.csv"):
        if not any(folder.glob(needed)):
            raise SourceError(f"{folder}: holds no {needed}; give the folder of one scenario, for example dataset/low_traffic")
    return PetShopSource(folder)
