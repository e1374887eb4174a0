"""All speed figures, one benchmark after the other, each in a process of its own; asserts nothing. `make bench` is this.

`python -m tests.benchmarks.run [NAME …] [--json FILE]`; names as in `bench_<name>.py`. A baseline of 0 means that there is none.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a benchmark; `baseline` is what it is compared with, in the same unit."""

    benchmark: str
    name: str
    value: float
    unit: str
    baseline: float

    @property
    def text(self) -> str:
        """Return the figure as a line of the table."""
        beside = f"{self.value / self.baseline:8.2f} x of {self.baseline:,.4g}" if self.baseline else ""
        return f"{self.name:<48} {self.value:>15,.4g} {self.unit:<9} {beside}".rstrip()


def names() -> list[str]:
    """Return the names of all benchmarks."""
    return sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))


def figures(benchmark: str) -> Iterator[Figure]:
    """Run one benchmark and yield its figures.

    Raises:
        CalledProcessError: it ended with an error; its own message is on stderr.
    """
    command = [sys.executable, "-m", f"tests.benchmarks.bench_{benchmark}"]
    done = subprocess.run(command, cwd=FOLDER.parents[1], stdout=subprocess.PIPE, text=True, check=True)
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            found = json.loads(line)
            yield Figure(benchmark, found["name"], float(found["value"]), found["unit"], float(found["baseline"]))


def main() -> int:
    """Run and print; return 1 where a benchmark ended with an error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *names()], help="default: all")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    seen: list[Figure] = []
    failed: list[str] = []
    for benchmark in options.names or names():
        print(f"\n{benchmark}", flush=True)
        try:
            for figure in figures(benchmark):
                print(f"  {figure.text}", flush=True)
                seen.append(figure)
        except subprocess.CalledProcessError as error:
            failed.append(benchmark)
            print(f"  ended with code {error.returncode}", file=sys.stderr)
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(figure) for figure in seen], indent=2), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
