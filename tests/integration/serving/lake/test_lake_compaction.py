"""Compaction and adding beside others: a death at any step, and writers of the same rows at once."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from orchestration.pipeline.ingest import as_lake_rows
from serving.lake import day_files
from serving.lake.opening import open_lake
from serving.lake.port import Lake
from tests.testing.lake_rows import accepted

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def points(first: int, last: int) -> pa.Table:
    rows = [accepted(START + timedelta(minutes=minute), "cart", float(minute)) for minute in range(first, last)]
    return as_lake_rows(pa.Table.from_batches(rows))


def in_pieces(home: Path) -> Lake:
    lake = open_lake(home / "lake").for_tenant("default")
    for first in range(0, 60, 6):
        lake.add("telemetry", points(first, first + 6))
    return lake


@pytest.mark.parametrize("step", ["put", "noted", "removed"])
def test_a_compaction_that_dies_leaves_the_same_rows(home: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    lake = in_pieces(home)
    before = lake.read("telemetry")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    real = day_files.write_atomically
    with monkeypatch.context() as patch:
        if step == "put":  # the new file is there, all old ones still are
            patch.setattr(day_files, "finish", die)
        elif step == "noted":  # the note is there, the new file is not
            patch.setattr(day_files, "write_atomically", lambda s, t, w: real(s, t, w) if t.suffix == ".replaces" else die())
        else:  # all old files are gone, the note is still there
            patch.setattr(day_files, "sync_folder", die)
        with pytest.raises(KeyboardInterrupt):
            lake.compact(least_files=2)
    assert lake.read("telemetry").equals(before)
    lake.compact(least_files=2)
    assert lake.read("telemetry").equals(before)
    assert len(lake.keys("telemetry", START.date())) == 1
    assert not list(lake.folder("telemetry").rglob("*.replaces"))


ADDER = """
import sys
from pathlib import Path
from serving.lake.opening import open_lake
from tests.integration.serving.lake.test_lake_compaction import points
first = int(sys.argv[2])
lake = open_lake(Path(sys.argv[1])).for_tenant("default")
done = [lake.add("telemetry", points(first + at, first + at + 20)) for at in range(0, 80, 20)]
print(sum(one.stored for one in done), sum(one.present for one in done))
"""


def test_overlapping_rows_added_at_once_are_counted_once(home: Path) -> None:
    command = [sys.executable, "-c", ADDER, str(home / "lake")]
    root = Path(__file__).parents[4]
    adders = [subprocess.Popen([*command, str(first)], stdout=subprocess.PIPE, text=True, cwd=root) for first in (0, 10, 20)]
    counts = [tuple(map(int, adder.communicate()[0].split())) for adder in adders]
    lake = open_lake(home / "lake").for_tenant("default")
    assert lake.count("telemetry") == 100 == sum(stored for stored, _ in counts)
    assert [stored + present for stored, present in counts] == [80, 80, 80]
