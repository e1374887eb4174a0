"""Labels of remote write in any order: a series is the same, whoever sorts."""

from hypothesis import given
from hypothesis import strategies as st

from serving.ingest.receive.wire.decoded import Rule, SeriesFault
from serving.ingest.receive.wire.label_text import checked_labels

NAMES = st.text("abc_", min_size=1, max_size=3)


@given(st.dictionaries(NAMES, st.text(max_size=3), max_size=5).flatmap(lambda labels: st.permutations(list(labels.items()))))
def test_labels_are_sorted_here_and_empty_ones_are_none(pairs: list[tuple[str, str]]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in pairs]
    assert checked_labels(raw) == tuple(sorted((name, value) for name, value in pairs if value))


def test_a_name_that_comes_twice_or_is_empty_is_refused() -> None:
    twice = checked_labels([(b"job", b"a"), (b"__name__", b"up"), (b"job", b"b")])
    empty = checked_labels([(b"job", b"a"), (b"", b"up")])
    assert isinstance(twice, SeriesFault)
    assert isinstance(empty, SeriesFault)
    assert (twice.rule, empty.rule) == (Rule.LABEL_NAMES_DISTINCT, Rule.LABEL_NAME_NOT_EMPTY)
