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
