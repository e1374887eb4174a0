"""What requests of a made-up day do, minute by minute: another order of lines is found, in words, and nothing later is read."""

import gzip
from pathlib import Path

import pytest

from aiops.signals.request_changes import RequestChangesConfig
from orchestration.bench.corpora.nezha_changes import MinuteChange, request_changes
from orchestration.cli import run as aiops

FIRST = 29_000_000
MINUTES = 8
BROKEN = 6
NODE_COLUMNS = "Timestamp,TimeUnixNano,Node,PodName,Container,TraceID,SpanID,Log"
SPAN_COLUMNS = "TraceID,SpanID,ParentID,PodName,OperationName,StartTimeUnixNano,EndTimeUnixNano,Duration"
POD = "shop-cart-6f6cfc45b-h5m2n"


def write(path: Path, header: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("\n".join([header, *rows]) + "\n")


def made_day(root: Path, minutes: int = MINUTES) -> Path:
    """Write a day whose carts are priced after they are read, and from minute `BROKEN` on refused instead."""
    folder = root / "rca_data" / "2026-03-01"
    for minute in range(minutes):
        spans, lines = [], []
        for number in range(30):
            start = (60 * (FIRST + minute) + number) * 1_000_000_000
            trace = f"{minute:02}ab{number:04}"
            spans.append(f"{trace},{number:016x},root,{POD},GET /cart,{start},{start + 50_000_000},50000")
            words = ("cart was read", "cart was refused" if minute >= BROKEN else "cart was priced")
            lines += [
                f"t,{start + (place + 1) * 1_000_000},n,{POD},server,{trace},{number:016x},INFO {text}"
                for place, text in enumerate(words)
            ]
        write(folder / "trace" / f"08_{minute:02}_trace.csv.gz", SPAN_COLUMNS, spans)
        write(folder / "log" / f"08_{minute:02}_log.csv.gz", NODE_COLUMNS, lines)
    return folder


def changes_of(folder: Path) -> dict[int, MinuteChange]:
    return request_changes(folder, RequestChangesConfig())


def test_another_order_of_lines_is_found_and_said(tmp_path: Path) -> None:
    changes = changes_of(made_day(tmp_path))
    assert max(change.ratio for minute, change in changes.items() if minute < FIRST + BROKEN) < 1.0
    broken = changes[FIRST + BROKEN + 1]
    assert broken.ratio > max(change.ratio for minute, change in changes.items() if minute < FIRST + BROKEN)
    assert broken.reason.startswith("shop-cart GET /cart: log lines")
    assert "cart was" in broken.reason


def test_nothing_later_is_read_for_a_minute(tmp_path: Path) -> None:
    whole, cut = changes_of(made_day(tmp_path / "whole")), changes_of(made_day(tmp_path / "cut", BROKEN + 1))
    assert cut == {minute: change for minute, change in whole.items() if minute < FIRST + BROKEN + 1}


def test_a_day_without_traces_has_none(tmp_path: Path) -> None:
    assert changes_of(tmp_path / "rca_data" / "2026-03-01") == {}


@pytest.mark.parametrize("options", [["--without", "words"], ["--without", "logs", "--three-sigma"]])
def test_signals_that_cannot_be_left_out_are_refused(options: list[str], tmp_path: Path) -> None:
    command = ["bench", "nezha-detect", "--path", str(tmp_path), "--out", str(tmp_path / "out.csv"), *options]
    assert aiops(command) == 2
