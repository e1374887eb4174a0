"""Lines that belong together: no line is lost or moved, streams do not see each other, a refused line stands alone."""

from hypothesis import given
from hypothesis import strategies as st

from data_contracts.telemetry.rejects import Refusal
from serving.ingest.receive.signals.lines.joined_lines import Piece, joined

TEXTS = st.sampled_from(
    [
        "2026-01-01 00:00:00 INFO a",
        "\tat com.x.Y(Z.java:1)",
        "Caused by: java.lang.X: y",
        "java.lang.IllegalStateException: bad",
        "Traceback (most recent call last):",
        '  File "a.py", line 3',
        "ValueError: no",
        "During handling of the above exception, another exception occurred:",
        "plain text",
        '{"msg": "x"}',
        "{ open",
        "}",
    ]
)
LINES = st.lists(st.tuples(st.sampled_from(["", "out", "err"]), TEXTS, st.booleans()), max_size=30)


def pieces(lines: list[tuple[str, str, bool]]) -> list[Piece]:
    return [
        Piece(text, stream=stream, refusal=Refusal("undecodable", "line", "no") if bad else None) for stream, text, bad in lines
    ]


@given(LINES)
def test_lines_are_joined_and_none_is_lost_or_moved(lines: list[tuple[str, str, bool]]) -> None:
    lines = [
        (stream, f"{text} {number}" if text[0] not in "{}" else text, bad) for number, (stream, text, bad) in enumerate(lines)
    ]
    records = joined(pieces(lines))
    for name in ("", "out", "err"):
        alone = joined(pieces([line for line in lines if line[0] == name]))
        of_stream = [record for record in records if record.stream == name]
        assert [record.text for record in of_stream] == [record.text for record in alone]
        kept = [text for record in of_stream if record.refusal is None for text in record.text.split("\n")]
        assert kept == [text for stream, text, bad in lines if stream == name and not bad]
    refused = [record.text for record in records if record.refusal is not None]
    assert refused == [text for _, text, bad in lines if bad]
