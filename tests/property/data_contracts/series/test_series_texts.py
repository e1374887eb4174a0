"""Keys, canonical bytes and texts: different keys never share bytes, and a text read back is the key it was written from."""

from hypothesis import given
from hypothesis import strategies as st

from data_contracts.series.key import SeriesKey, canonical_bytes, labels_of, labels_text
from data_contracts.series.text import metric_of, metric_text, series_of, series_text
from data_contracts.values.texts import stray_character

_TEXT = st.text(st.sampled_from('abnu0|{}=",\\/ é\n\r\t\x00\x1b\u0085\u2028\ufeff'), min_size=1, max_size=8)
_KEYS = st.builds(SeriesKey.of, st.just("t"), _TEXT, _TEXT, st.dictionaries(_TEXT, _TEXT, max_size=3))


@given(_KEYS, _KEYS)
def test_different_keys_have_different_bytes(key: SeriesKey, other: SeriesKey) -> None:
    assert (canonical_bytes(key) == canonical_bytes(other)) == (key == other)


@given(_KEYS)
def test_a_text_read_back_is_its_key(key: SeriesKey) -> None:
    assert series_of(series_text(key), "t") == key
    assert metric_of(metric_text(key.metric, key.labels)) == (key.metric, key.labels)
    assert labels_of(labels_text(key.labels)) == key.labels


@given(_KEYS)
def test_a_text_is_one_line_without_control_characters(key: SeriesKey) -> None:
    assert stray_character(series_text(key), single_line=True) is None
