"""All benchmarks, each in a process of its own: one table of medians beside their baselines and the committed ratios.

`python -m tests.benchmarks.run [NAME…] [--json FILE] [--commit] [--strict]`; a name is that of a file, with or without `bench_`.
Every benchmark prints JSON lines: name, value, unit, baseline (the least that could be done instead; 0 = there is none). Rounds
are repeated while the next one fits into the time given, and medians are shown. Speed is asserted with `--strict` only.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.comparison import Measured, commit, committed_ratios, machine, medians
from tests.benchmarks.figure_table import table

FOLDER = Path(__file__).parent
QUICK: Mapping[str, tuple[str, ...]] = {
    "bench_serving": ("--seconds", "1.5", "--singles", "500"),
    "bench_simulator": ("--hours", "48", "--repeats", "2"),
    "bench_validate": ("--rows", "300000", "--repeats", "3"),
}
"""Arguments that keep a round short; alone, a benchmark measures longer."""


@dataclass(frozen=True, slots=True)
class Report:
    """All figures, and what they were measured on."""

    machine: Mapping[str, str | int | float]
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
    """Run one benchmark and return what it printed, under its name; its errors go to our standard error."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *QUICK.get(name, ())]
    answer = subprocess.run(command, cwd=FOLDER.parents[1], stdout=subprocess.PIPE, text=True, check=False)
    if answer.returncode:
        raise SystemExit(f"{name} ended with {answer.returncode}")
    return [{"bench": name, **json.loads(line)} for line in answer.stdout.splitlines() if line.startswith("{")]


def measure(names: Sequence[str], budget_s: float) -> Report:
    """Run the benchmarks, again as long as another round fits into `budget_s`."""
    load, started = os.getloadavg()[0] / (os.cpu_count() or 1), time.monotonic()
    lines: list[dict[str, object]] = []
    spent, longest = 0.0, 0.0
    while spent + longest <= budget_s or not lines:
        for name in names:
            sys.stderr.write(f"{name} …\n")
            lines += lines_of(name)
        longest = max(longest, time.monotonic() - started - spent)
        spent = time.monotonic() - started
    lines.sort(key=lambda line: names.index(str(line["bench"])))
    about = machine(datetime.now(UTC).date(), round(load, 2))
    return Report(about, round(spent, 1), medians(lines, committed_ratios()))


def main() -> int:
    """Parse the command line, measure, show; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", help="benchmarks to run (default: all)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--budget-s", type=float, default=200.0, help="no further round begins that would exceed this")
    parser.add_argument("--commit", action="store_true", help="write the ratios to tests/benchmarks/ratios.json")
    parser.add_argument("--strict", action="store_true", help="exit code 1 where a ratio is a regression")
    options = parser.parse_args()
    report = measure(benchmarks(options.names), options.budget_s)
    sys.stdout.write(table(report.figures) + "\n")
    about = f"{report.machine['cores']} cores, load {report.machine['load_a_core']:g} a core before, {report.seconds:.0f} s"
    sys.stdout.write(f"{about}; a ratio is value / baseline.\n")
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    if options.commit:
        commit(report.figures, report.machine)
    return int(options.strict and any(figure.regression for figure in report.figures))


if __name__ == "__main__":
    sys.exit(main())
