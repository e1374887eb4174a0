"""Ids of lines that are pulled from a Loki: one a line, whatever is pulled beside it, also of equal lines in a microsecond."""

from datetime import UTC, datetime

from serving.ingest.receive.signals.lines.loki_push import accept_loki_results
from serving.ingest.receive.signals.signal_outcome import SignalIntake
from serving.stream import streams

INTAKE = SignalIntake(datetime(2026, 3, 2, 12, tzinfo=UTC))
MOMENT_NS = 1_772_452_800_000_000_000
LABELS = {"app": "cart"}


def ids(*entries: tuple[int, str]) -> list[int]:
    outcome = accept_loki_results([(LABELS, [[str(MOMENT_NS + ns), text] for ns, text in entries])], INTAKE)
    assert outcome.rejected == 0, outcome.message
    return [log_id for entry in outcome.entries for log_id in streams.from_ipc(entry.payload)["log_id"].to_pylist()]


def test_equal_lines_within_a_microsecond_are_two_though_they_come_in_parts_of_their_own() -> None:
    together = ids((1, "cart is full"), (2, "cart is full"))
    apart = ids((1, "cart is full")) + ids((2, "cart is full"))
    assert together == apart
    assert len(set(apart)) == 2


def test_a_line_that_is_pulled_again_beside_others_has_its_id_again() -> None:
    (alone,) = ids((1, "cart is full"))
    assert alone in ids((0, "cart is empty"), (1, "cart is full"))


def test_equal_lines_of_one_moment_are_two() -> None:
    assert len(set(ids((1, "cart is full"), (1, "cart is full")))) == 2
