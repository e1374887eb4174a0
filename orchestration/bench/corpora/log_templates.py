"""`aiops bench templates`: the template of each line of Loghub-2k, mined as a stream by one configuration for all sets.

Of a set the columns LineId and Content are read; EventId is read after mining, for the figures alone. A line's label is what the
id of its shape leads to after the last line of its set: the same call that a running service makes for lines that it stored.
"""

import csv
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from aiops.errors import SourceError
from aiops.signals.templates.fitness import Unfit
from aiops.signals.templates.miner import TemplateMiner
from aiops.signals.templates.token_rules import HashArray
from aiops.types import IntArray
from serving.ingest.pull.corpus import read_cells

_FILES: Final = "*/*structured_corrected.csv"
_REPEATS: Final = 25
_RUNS: Final = 5
_DIGITS: Final = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Grouping:
    """How well lines are grouped, 0 to 1, higher is better. Source: Khan et al. 2022, Guidelines for log message templates.

    `grouping_accuracy` = share of lines whose group holds exactly the lines of its true group; `group_f1` = the same by template.
    """

    grouping_accuracy: float
    group_f1: float


@dataclass(frozen=True, slots=True)
class SetFigures:
    """One set: its lines and templates; `ours` and `digits_masked` (numbers taken for one) where there is an EventId."""

    name: str
    lines: int
    templates: int
    true_templates: int
    ours: Grouping | None
    digits_masked: Grouping | None
    refused: str


@dataclass(frozen=True, slots=True)
class Figures:
    """All sets; means where each has an EventId. Speeds are in lines a second of CPU time on one core, kernels compiled.

    `lines_per_second` from an empty miner to the labels of each set, the median of 5 runs; `known_lines_per_second` of the same
    lines over and over.
    """

    lines_per_second: float
    known_lines_per_second: float
    lines: int
    mean: Grouping | None
    mean_digits_masked: Grouping | None
    sets: list[SetFigures]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Labels of the lines of one set, and what the mining said and cost (CPU seconds)."""

    labels: list[str]
    unfit: Unfit | None
    seconds: float
    known_seconds: float


def run(path: Path, out: Path) -> Figures:
    """Write `set,line,template` for every line of every set below `path` and return the figures.

    Raises:
        SourceError: `path` holds no set, or a set has no columns LineId and Content.
    """
    files = sorted(path.glob(_FILES))
    if not files:
        raise SourceError(f"{path}: holds no {_FILES}; give a checkout of Loghub-2k with corrected templates")
    label_lines(pa.array(["warm up=left", "warm up=right", "warm up 12"]), repeats=1)
    figures: list[SetFigures] = []
    mined: list[Labelled] = []
    with out.open("w", newline="", encoding="utf-8") as rows:
        writer = csv.writer(rows)
        writer.writerow(("set", "line", "template"))
        for file in files:
            cells = _cells(file)
            labelled = label_lines(cells["Content"].combine_chunks(), _REPEATS)
            name = file.parent.name
            numbers = cells["LineId"].to_pylist()
            writer.writerows((name, number, label) for number, label in zip(numbers, labelled.labels, strict=True))
            mined.append(labelled)
            figures.append(_figures(name, cells, labelled))
    lines = sum(figure.lines for figure in figures)
    seconds, known_seconds = sum(part.seconds for part in mined), sum(part.known_seconds for part in mined)
    return Figures(
        round(lines / max(seconds, 1e-9)),
        round(lines * _REPEATS / max(known_seconds, 1e-9)),
        lines,
        _mean([figure.ours for figure in figures]),
        _mean([figure.digits_masked for figure in figures]),
        figures,
    )


def label_lines(lines: "pa.Array[Any]", repeats: int) -> Labelled:
    """Return the template of each line after the last, as text of its id; a refused line is alone.

    `repeats` = how often the lines are read again by a miner that knows them, for the speed.
    """
    seconds = []
    for _ in range(_RUNS):
        miner = TemplateMiner()
        started = time.process_time()
        mined = miner.observe(lines, np.zeros(len(lines), np.int64))
        miner.settle(0)
        ids = miner.resolve(mined.shapes)
        seconds.append(time.process_time() - started)
    many = pa.concat_arrays([lines] * repeats)
    started = time.process_time()
    miner.observe(many, np.zeros(len(many), np.int64))
    return Labelled(_texts(ids), mined.unfit, float(np.median(seconds)), time.process_time() - started)


def _texts(ids: HashArray) -> list[str]:
    return [f"{key:016x}" if key else f"refused {row}" for row, key in enumerate(ids.tolist())]


def grouping(labels: Sequence[str], truth: Sequence[str]) -> Grouping:
    """Return how well `labels` group lines whose true groups are `truth`.

    >>> grouping(["a", "a", "b", "c"], ["x", "x", "y", "y"])
    Grouping(grouping_accuracy=0.5, group_f1=0.4)
    """
    label, true = _numbers(labels), _numbers(truth)
    pairs, size = np.unique(label * (true.max() + 1) + true, return_counts=True)
    own, theirs = np.divmod(pairs, true.max() + 1)
    exact = (size == np.bincount(label)[own]) & (size == np.bincount(true)[theirs])
    precision, recall = exact.sum() / (label.max() + 1), exact.sum() / (true.max() + 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-12)
    return Grouping(float(size[exact].sum() / label.size), float(f1))


def _numbers(texts: Sequence[str]) -> IntArray:
    return np.unique(np.array(texts, np.object_).astype(np.str_), return_inverse=True)[1].astype(np.int64)


def _cells(file: Path) -> pa.Table:
    cells = read_cells(file)
    if not {"LineId", "Content"} <= set(cells.column_names) or not cells.num_rows:
        raise SourceError(f"{file}: has no lines with columns LineId and Content; restore the file of the corpus")
    return cells


def _figures(name: str, cells: pa.Table, labelled: Labelled) -> SetFigures:
    labels, refused = labelled.labels, str(labelled.unfit or "")
    if "EventId" not in cells.column_names:
        return SetFigures(name, len(labels), len(set(labels)), 0, None, None, refused)
    truth, contents = (list(map(str, cells[column].to_pylist())) for column in ("EventId", "Content"))
    masked = [_DIGITS.sub("0", line) for line in contents]
    ours, digits = grouping(labels, truth), grouping(masked, truth)
    return SetFigures(name, len(labels), len(set(labels)), len(set(truth)), ours, digits, refused)


def _mean(groupings: Sequence[Grouping | None]) -> Grouping | None:
    known = [part for part in groupings if part is not None]
    if len(known) < len(groupings):
        return None
    accuracy, f1 = np.mean([(part.grouping_accuracy, part.group_f1) for part in known], axis=0).tolist()
    return Grouping(accuracy, f1)
