"""Adjusted counts of `tracestate`."""

import pyarrow as pa
import pytest

from aiops.signals.sampling import adjusted_count, adjusted_counts


@pytest.mark.parametrize(
    ("state", "count"),
    [
        ("", 1.0),
        ("ot=th:0", 1.0),
        ("ot=th:8", 2.0),
        ("ot=rv:00000000000000;th:c", 4.0),
        ("a=b, ot=th:fd70a", 1 / (1 - 0xFD70A / 16**5)),
        ("other=th:8", 1.0),
        ("ot=th:xyz", 1.0),
        ("ot=th:123456789abcdef", 1.0),
    ],
)
def test_threshold(state: str, count: float) -> None:
    assert adjusted_count(state) == pytest.approx(count)


def test_a_column_with_gaps() -> None:
    assert adjusted_counts(pa.chunked_array([["ot=th:8", None], ["ot=th:c"]])).tolist() == [2.0, 1.0, 4.0]
