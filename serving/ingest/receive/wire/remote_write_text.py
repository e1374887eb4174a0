"""What series of remote write are, read from the body when it is asked for."""

from itertools import pairwise

import numpy as np

from serving.ingest.receive.wire.decoded import Body, Description, Int64s, Pairs, Rule, SeriesDescription, SeriesFault, SeriesKind
from serving.ingest.receive.wire.label_spans import Table, label_spans, references_of, symbol_spans
from serving.ingest.receive.wire.label_text import METRIC_NAME, RawPairs, checked_labels, series_fault
from serving.ingest.receive.wire.noted_messages import address_of


class RemoteWrite1Text:
    """Describes series of a WriteRequest; `places` is (s, 2): offset and size of each in the body."""

    def __init__(self, body: Body, places: Table) -> None:
        self._body = body
        self._places = places

    def describe(self, rows: Int64s) -> list[Description]:
        """Return what the given series are, in that order."""
        spans, bounds = label_spans(address_of(self._body), np.ascontiguousarray(self._places[rows]))
        body, cells, ends = bytes(self._body), spans.tolist(), bounds.tolist()
        described: list[Description] = []
        for first, last in pairwise(ends):
            pairs = [(body[begin:end], body[value:stop]) for begin, end, value, stop in cells[first:last]]
            described.append(_description(checked_labels(pairs), pairs))
        return described


class RemoteWrite2Text:
    """Describes series of a Request of 2.0; `places` as above."""

    def __init__(self, body: Body, places: Table, symbols: int) -> None:
        self._body = body
        self._places = places
        self._symbols = symbols
        self._read: list[bytes] | None = None

    def describe(self, rows: Int64s) -> list[Description]:
        """Return what the given series are, in that order."""
        body, address = bytes(self._body), address_of(self._body)
        references, bounds, declared = references_of(address, np.ascontiguousarray(self._places[rows]))
        if self._read is None:
            spans = symbol_spans(address, address + len(body), self._symbols)
            self._read = [body[begin:end] for begin, end in spans.tolist()]
        symbols = self._read
        ends, numbers = bounds.tolist(), references.tolist()
        return [
            _described(numbers[first:last], known, symbols)
            for (first, last), known in zip(pairwise(ends), declared.tolist(), strict=True)
        ]


def _described(references: list[int], declared: list[int], symbols: list[bytes]) -> Description:
    kind, unit, help_text = declared
    held = [symbols[number] if number < len(symbols) else b"" for number in references]
    pairs = list(zip(held[::2], held[1::2], strict=False))
    if max(references, default=-1) >= len(symbols):
        return series_fault(Rule.SYMBOL_EXISTS, pairs)
    if len(references) % 2:
        return series_fault(Rule.LABEL_REFERENCES_IN_PAIRS, pairs)
    if max(unit, help_text) >= max(len(symbols), 1):
        return series_fault(Rule.SYMBOL_EXISTS, pairs)
    known = _description(checked_labels(pairs), pairs)
    if not (kind or unit or help_text) or isinstance(known, SeriesFault):
        return known
    try:
        unit_text, help_words = (symbols[number].decode() if number else "" for number in (unit, help_text))
    except UnicodeDecodeError:
        return series_fault(Rule.TEXT_IS_UTF8, pairs)
    return SeriesDescription(known.metric, known.labels, SeriesKind(kind), unit_text, help_words)


def _description(labels: Pairs | SeriesFault, raw: RawPairs) -> Description:
    if isinstance(labels, SeriesFault):
        return labels
    for place, (name, value) in enumerate(labels):
        if name == METRIC_NAME:
            return SeriesDescription(value, labels[:place] + labels[place + 1 :], SeriesKind.UNKNOWN)
    return series_fault(Rule.NAME_PRESENT, raw)
