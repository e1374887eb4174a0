"""Keys, canonical bytes and texts: different keys never share bytes, and a text read back is the key it was written from."""

from hypothesis import given
from hypothesis import strategies as st

from data_contracts.series.key import SeriesKey, canonical_bytes, labels_of, labels_text
from data_contracts.series.text import metric_of, metric_text, series_of, series_text

_TEXT = st.text(st.sampled_from('ab|{}=",\\/ é'), min_size=1, max_size=6)
_KEYS = st.builds(SeriesKey.of, st.just("t"), _TEXT, _TEXT, st.dictionaries(_TEXT, _TEXT, max_size=3))


@given(_KEYS, _KEYS)
def test_different_keys_have_different_bytes(key: SeriesKey, other: SeriesKey) -> None:
    assert (canonical_bytes(key) == canonical_bytes(other)) == (key == other)


@given(_KEYS)
def test_a_text_read_back_is_its_key(key: SeriesKey) -> None:
    assert series_of(series_text(key), "t") == key
    assert metric_of(metric_text(key.metric, key.labels)) == (key.metric, key.labels)
    assert labels_of(labels_text(key.labels)) == key.labels
