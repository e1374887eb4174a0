"""The consumer starts fast and small: heavy libraries never, numba only once it runs."""

import json
import subprocess
import sys
from pathlib import Path

from tests.testing.deadlines import within

ROOT = Path(__file__).parents[2]
NEVER = {"feast", "mlflow", "sklearn", "dagster", "great_expectations", "bentoml", "evidently", "pandas", "torch", "xgboost"}
MEASURE = """
import importlib, json, pathlib, pkgutil, re, resource, sys
before = resource.getrusage(resource.RUSAGE_SELF)
import serving.stream.consumer
names = sorted(module.name for module in pkgutil.iter_modules(serving.stream.consumer.__path__))
for name in names:
    importlib.import_module(f"serving.stream.consumer.{name}")
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "cpu_s": used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
    "resident_mib": int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1024,
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    "imported": names,
}))
"""


def measured() -> dict[str, object]:
    answer = subprocess.run([sys.executable, "-c", MEASURE], cwd=ROOT, capture_output=True, text=True, check=True)
    report: dict[str, object] = json.loads(answer.stdout)
    return report


def test_importing_every_module_of_the_consumer_is_cheap_and_pulls_in_nothing_heavy() -> None:
    """The budget is 0.5 s and 120 MiB; CPU time gets slack for slow and shared machines."""
    best = min((measured() for _ in range(3)), key=lambda report: float(str(report["cpu_s"])))
    assert "partition" in str(best["imported"])
    loaded = set(best["modules"])  # type: ignore[arg-type, call-overload]
    assert not loaded & NEVER
    assert "numba" not in loaded
    assert float(str(best["cpu_s"])) <= within(1.0)
    assert float(str(best["resident_mib"])) <= 120.0
