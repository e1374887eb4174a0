"""Figures of benchmarks: medians of rounds, beside a baseline, beside the ratios that are committed."""

import json
import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Final

RATIOS: Final = Path(__file__).parent / "ratios.json"
WORSE_BY: Final = 0.15
"""A ratio that is worse than the committed one by more than this is a regression."""
LESS_IS_BETTER: Final = frozenset({"ms", "s", "s to ready", "CPU s", "MiB", "B"})
"""Units of time and memory; of all others more is better."""

Ratios = Mapping[str, Mapping[str, float]]
"""By benchmark and figure: value / baseline."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Median of one figure over `runs` rounds.

    `ratio` = value / baseline, None where there is no baseline; `committed`: the ratio to compare with, None where there is none.
    """

    bench: str
    name: str
    value: float
    unit: str
    baseline: float
    ratio: float | None
    runs: int
    committed: float | None = None

    @property
    def change(self) -> float | None:
        """Return by which share the ratio is above (or, negative, below) the committed one."""
        if self.ratio is None or not self.committed:
            return None
        return self.ratio / self.committed - 1

    @property
    def regression(self) -> bool:
        """Return whether the ratio is worse than the committed one by more than 15 %.

        >>> Measured("b", "p99", 2.4, "ms", 1.0, 2.4, 3, committed=2.0).regression
        True
        """
        if self.ratio is None or not self.committed or not self.ratio:
            return False
        worse = self.ratio / self.committed if self.unit in LESS_IS_BETTER else self.committed / self.ratio
        return worse > 1 + WORSE_BY


def medians(lines: Iterable[Mapping[str, object]], committed: Ratios) -> tuple[Measured, ...]:
    """Return one figure a benchmark and name, in the order of first appearance.

    >>> rounds = [{"bench": "b", "name": "a", "value": v, "unit": "s", "baseline": 2} for v in (1, 9, 4)]
    >>> medians(rounds, {})[0].ratio
    2.0
    """
    rounds: defaultdict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    for line in lines:
        key = (str(line["bench"]), str(line["name"]), str(line["unit"]))
        rounds[key].append((float(str(line["value"])), float(str(line.get("baseline", 0)))))
    measured = []
    for (bench, name, unit), figures in rounds.items():
        value, baseline = (median(column) for column in zip(*figures, strict=True))
        ratio = value / baseline if baseline else None
        measured.append(Measured(bench, name, value, unit, baseline, ratio, len(figures), committed.get(bench, {}).get(name)))
    return tuple(measured)


def committed_ratios(path: Path = RATIOS) -> Ratios:
    """Return the committed ratios; none where there is no file."""
    if not path.is_file():
        return {}
    ratios: Ratios = json.loads(path.read_text(encoding="utf-8"))["ratios"]
    return ratios


def commit(figures: Iterable[Measured], about: Mapping[str, str | int | float], path: Path = RATIOS) -> None:
    """Write the ratios of these figures in the place of those committed; benchmarks that did not run keep theirs."""
    ratios = {bench: dict(of_bench) for bench, of_bench in committed_ratios(path).items()}
    fresh: dict[str, dict[str, float]] = {}
    for figure in figures:
        if figure.ratio is not None:
            fresh.setdefault(figure.bench, {})[figure.name] = float(f"{figure.ratio:.3g}")
    document = {"machine": dict(about), "ratios": dict(sorted({**ratios, **fresh}.items()))}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def machine(today: date, load_a_core: float) -> dict[str, str | int | float]:
    """Return what ratios are measured on; load = runnable processes a core before the start, of others if beyond 0.2."""
    cores = os.cpu_count() or 1
    return {
        "cores": cores,
        "processor": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load_a_core": load_a_core,
        "date": today.isoformat(),
    }
