"""Points a second that the simulator makes on one core; prints JSON lines: name, value, unit, baseline.

The baseline is one draw of numpy's normal generator a point, brought into the same Arrow columns.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa

from aiops.simulator.rows import ROWS
from aiops.simulator.simulate import simulate
from aiops.simulator.simulation_config import SimulationConfig


def simulated(config: SimulationConfig) -> int:
    """Return the number of rows made."""
    return sum(table.num_rows for table in simulate(config).telemetry())


def plain_noise(points: int) -> int:
    """Return the number of rows of pure noise made."""
    codes = np.zeros(points, dtype=np.int32)
    named = pa.DictionaryArray.from_arrays(codes, pa.array(["service"]))
    times = pa.array(np.arange(points, dtype=np.int64)).cast(pa.timestamp("us", tz="UTC"))
    values = pa.array(np.random.default_rng(7).standard_normal(points))
    return pa.Table.from_arrays([times, named, named, values], schema=ROWS).num_rows


def points_per_second(make: Callable[[], int], repeats: int) -> float:
    """Return the best of `repeats` runs, by the time of this process."""
    rates = []
    for _ in range(repeats):
        began = time.process_time()
        points = make()
        rates.append(points / (time.process_time() - began))
    return max(rates)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=120.0)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    plain = SimulationConfig(hours=options.hours)
    cases = {
        "simulate.12_services": plain,
        "simulate.12_services_no_gaps": replace(plain, gap_share=0.0),
        "simulate.12_services_one_percent_dirty": replace(plain, dirty_share=0.01),
        "simulate.50_services": replace(plain, services=50),
        "simulate.3_services": replace(plain, services=3),
    }
    baseline = points_per_second(lambda: plain_noise(1_000_000), options.repeats)
    for name, config in cases.items():
        value = points_per_second(lambda config=config: simulated(config), options.repeats)  # type: ignore[misc]
        line = {"name": name, "value": round(value), "unit": "points/s", "baseline": round(baseline)}
        sys.stdout.write(json.dumps(line) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
