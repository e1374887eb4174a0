"""Speed of stage 1 on one core: entries on a real Valkey → decode → validate → features and tier 1 → commit.

Prints JSON lines with name, value, unit and baseline (the wire format alone: decoding the same entries).
"""

import json
from dataclasses import asdict
from itertools import product

from orchestration.bench.load.stage1_speed import Stage1Load, measure_stage1
from serving.stream.consumer.second_opinion import Watched

RUNS = ((10, 1_800_000), (60, 600_000))
"""(seconds between the points of a series, points): ticks close every 60 s, and each costs work for every series."""


def show(name: str, value: float, unit: str, baseline: float) -> None:
    """Print one figure."""
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "baseline": round(baseline, 3)}), flush=True)


def main() -> None:
    """Run the benchmark."""
    for (step_s, points), watched in product(RUNS, (Watched(), Watched(safety_net=True), Watched(True, True))):
        speed = measure_stage1(Stage1Load(step_s, points, watched))
        what = f"{step_s} s data, {', '.join(name for name, on in asdict(watched).items() if on) or 'robust z alone'}"
        show(f"producer, {step_s} s data", speed.producer_rate, "points/s", 0.0)
        show(f"consumer stage 1, {what}, by wall time", speed.wall_rate, "points/s", speed.decode_rate)
        show(f"consumer stage 1, {what}, one core", speed.cpu_rate, "points/s", speed.decode_rate)
        show(f"consumer resident memory, {what}", speed.resident_mib, "MiB", 0.0)


if __name__ == "__main__":
    main()
