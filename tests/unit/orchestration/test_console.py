"""What cells of a table look like."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from orchestration.console import print_table

AT = datetime(2026, 11, 29, 3, 5, 40, 875000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (AT, "2026-11-29 03:05:40Z"),
        (AT.astimezone(timezone(timedelta(hours=2))), "2026-11-29 03:05:40Z"),
        (AT.replace(tzinfo=None), "2026-11-29 03:05:40"),
        (float("nan"), "–"),
        (None, "–"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.123456, "0.1235"),
    ],
)
def test_cells(cell: object, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table("", ("what",), [(cell,)])
    assert f"│ {shown} " in capsys.readouterr().out


def test_a_table_that_is_too_wide_is_printed_as_paragraphs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns, row = ("series", "service", "metric", "score", "when"), ("s" * 40, "cart-service", "latency_p99_ms", 0.25, AT)
    for width, wide in (("160", True), ("60", False), ("", True), ("0", True)):
        monkeypatch.setenv("COLUMNS", width)
        print_table("2 rows", columns, [row, row])
        lines = capsys.readouterr().out.splitlines()
        assert any(line.startswith("┏") for line in lines) == wide
        assert sum("latency_p99_ms" in line for line in lines) == 2
        assert max(map(len, lines)) <= (int(width or "160") or 160)


def test_what_stands_in_brackets_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Paths [all]", ("operation", "calls"), [("GET /items/[id]", 1), ("GET /items[/id]", 2)])
    shown = capsys.readouterr().out
    assert "GET /items/[id]" in shown
    assert "GET /items[/id]" in shown
    assert "Paths [all]" in shown
