"""Labels as text: decoded, checked and sorted the first time that a series is seen."""

from collections.abc import Sequence
from typing import Final

from serving.ingest.receive.wire.decoded import Pairs, Rule, SeriesFault

RawPairs = Sequence[tuple[bytes, bytes]]
"""(name, value) as they lie in a body."""

METRIC_NAME: Final = "__name__"
_MOST_TEXT: Final = 200


def checked_labels(pairs: RawPairs) -> Pairs | SeriesFault:
    """Return labels of remote write, ascending by name; one with an empty value is no label, as Prometheus has it.

    Senders are to sort them, and vmagent does not: any order is taken.
    """
    try:
        labels = [(name.decode(), value.decode()) for name, value in pairs]
    except UnicodeDecodeError:
        return series_fault(Rule.TEXT_IS_UTF8, pairs)
    labels.sort()
    before = ""
    for name, _ in labels:
        if name <= before:
            return series_fault(Rule.LABEL_NAMES_DISTINCT if name else Rule.LABEL_NAME_NOT_EMPTY, pairs)
        before = name
    return tuple(labels) if all(value for _, value in labels) else tuple((name, value) for name, value in labels if value)


def checked_attributes(pairs: Sequence[tuple[str, str]], raw: RawPairs) -> Pairs | SeriesFault:
    """Return attributes of OTLP, whose order is free, ascending by name."""
    attributes = tuple(sorted(pairs))
    names = [name for name, _ in attributes]
    if names and not names[0]:
        return series_fault(Rule.LABEL_NAME_NOT_EMPTY, raw)
    return attributes if len(set(names)) == len(names) else series_fault(Rule.LABEL_NAMES_DISTINCT, raw)


def series_fault(rule: Rule, pairs: RawPairs) -> SeriesFault:
    """Return a fault that names a series as far as it can be read.

    >>> series_fault(Rule.LABEL_NAMES_DISTINCT, [(b"job", b"a"), (b"job", b"b")]).series
    '{job="a", job="b"}'
    """
    text = ", ".join(f'{_legible(name)}="{_legible(value)}"' for name, value in pairs)
    return SeriesFault(rule, f"{{{text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + '…'}}}")


def _legible(raw: bytes) -> str:
    text = raw[:_MOST_TEXT].decode(errors="replace")
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
