"""All benchmarks, each in a process of its own: one table of medians beside their baselines. Nothing is asserted.

`python -m tests.benchmarks.run [NAME…] [--json FILE]`; a name is that of a file, with or without `bench_`. Every benchmark
prints JSON lines: name, value, unit, baseline (the least that could be done instead; 0 = there is none). Rounds are repeated
while the next one fits into the time given, and medians are shown.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).parent
QUICK: Mapping[str, tuple[str, ...]] = {
    "bench_serving": ("--seconds", "1.5", "--singles", "500"),
    "bench_simulator": ("--hours", "48", "--repeats", "2"),
    "bench_validate": ("--rows", "300000", "--repeats", "3"),
}
"""Arguments that keep a round short; alone, a benchmark measures longer."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Median of one figure over `runs` rounds; `ratio` = value / baseline, None where there is no baseline."""

    name: str
    value: float
    unit: str
    baseline: float
    ratio: float | None
    runs: int


@dataclass(frozen=True, slots=True)
class Report:
    """All figures, and what they were measured under: load = runnable processes a core before the start."""

    cores: int
    load_a_core: float
    seconds: float
    figures: tuple[Measured, ...]


def benchmarks(names: Sequence[str]) -> list[str]:
    """Return the module names chosen, all where none is named."""
    known = sorted(path.stem for path in FOLDER.glob("bench_*.py"))
    wanted = [name if name.startswith("bench_") else f"bench_{name}" for name in names]
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise SystemExit(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    return wanted or known


def lines_of(name: str) -> list[dict[str, object]]:
    """Run one benchmark and return what it printed; its errors go to our standard error."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *QUICK.get(name, ())]
    answer = subprocess.run(command, cwd=FOLDER.parents[1], stdout=subprocess.PIPE, text=True, check=False)
    if answer.returncode:
        raise SystemExit(f"{name} ended with {answer.returncode}")
    return [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]


def medians(lines: Iterable[Mapping[str, object]]) -> tuple[Measured, ...]:
    """Return one figure a name, in the order of first appearance.

    >>> medians([{"name": "a", "value": v, "unit": "s", "baseline": 2} for v in (1, 9, 4)])[0].ratio
    2.0
    """
    measured: defaultdict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for line in lines:
        measured[(str(line["name"]), str(line["unit"]))].append((float(str(line["value"])), float(str(line["baseline"]))))
    return tuple(_measured(name, unit, figures) for (name, unit), figures in measured.items())


def _measured(name: str, unit: str, figures: Sequence[tuple[float, float]]) -> Measured:
    value, baseline = (median(column) for column in zip(*figures, strict=True))
    return Measured(name, value, unit, baseline, value / baseline if baseline else None, len(figures))


def measure(names: Sequence[str], budget_s: float, say: Console) -> Report:
    """Run the benchmarks, again as long as another round fits into `budget_s`."""
    cores = os.cpu_count() or 1
    load, started = os.getloadavg()[0] / cores, time.monotonic()
    lines: list[dict[str, object]] = []
    spent, longest = 0.0, 0.0
    while spent + longest <= budget_s or not lines:
        for name in names:
            say.print(f"{name} …")
            lines += lines_of(name)
        longest = max(longest, time.monotonic() - started - spent)
        spent = time.monotonic() - started
        if spent >= budget_s:
            break
    return Report(cores, round(load, 2), round(spent, 1), medians(lines))


def show(report: Report, console: Console) -> None:
    """Print the table."""
    title = f"{report.cores} cores, load {report.load_a_core:g} a core before, {report.seconds:.0f} s"
    table = Table(title=title, title_justify="left")
    table.add_column("benchmark")
    for heading in ("median", "baseline", "ratio", "runs"):
        table.add_column(heading, justify="right")
    table.add_column("unit")
    for figure in report.figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.3g}"
        baseline = f"{figure.baseline:,.4g}" if figure.baseline < 1000 else f"{figure.baseline:,.0f}"
        value = f"{figure.value:,.4g}" if figure.value < 1000 else f"{figure.value:,.0f}"
        table.add_row(figure.name, value, baseline if figure.baseline else "", ratio, str(figure.runs), figure.unit)
    console.print(table)


def main() -> None:
    """Parse the command line, measure, show."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", help="benchmarks to run (default: all)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--budget-s", type=float, default=200.0, help="no further round begins that would exceed this")
    options = parser.parse_args()
    names = benchmarks(options.names)
    report = measure(names, options.budget_s, Console(stderr=True))
    show(report, Console())
    if options.json is not None:
        options.json.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
