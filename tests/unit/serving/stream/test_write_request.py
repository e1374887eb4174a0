"""Bodies of remote write are read back by classes that protobuf made of the messages' descriptions."""

import math

from hypothesis import given
from hypothesis import strategies as st

from data_contracts.series.finding_metrics import FINDING_METRICS
from serving.stream.consumer.export.export_labels import Label
from serving.stream.consumer.export.exported_series import Sample
from serving.stream.consumer.export.write_request import SeriesSamples, request_1, request_2, written_series
from tests.testing.remote_write_messages import parsed, readings_of

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
TIMES = st.integers(-(2**53), 2**53)
SAMPLES = st.builds(Sample, TIMES, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
WATCHED = st.builds(SeriesSamples, st.tuples(st.builds(Label, st.just("service"), TEXTS)), st.lists(SAMPLES, max_size=4))


def expected(watched: list[SeriesSamples]) -> dict[tuple[tuple[str, str], ...], list[tuple[int, float]]]:
    series: dict[tuple[tuple[str, str], ...], list[tuple[int, float]]] = {}
    for labels, samples in watched:
        for place, metric in enumerate(FINDING_METRICS):
            finite = [(sample.timestamp_ms, sample.figures[place]) for sample in samples if math.isfinite(sample.figures[place])]
            if finite:
                series[(("__name__", metric), *((label.name, label.value) for label in labels))] = finite
    return series


@given(st.lists(WATCHED, max_size=5, unique_by=lambda watched: watched.labels))
def test_both_versions_say_the_same(watched: list[SeriesSamples]) -> None:
    series = written_series(watched)
    assert readings_of("v1", request_1(series)) == readings_of("v2", request_2(series)) == expected(watched)


def test_version_2_tells_type_and_meaning() -> None:
    watched = SeriesSamples((Label("metric", "cpu"), Label("zone", "")), [Sample(1, 1.0, math.nan, math.nan, math.nan, math.nan)])
    request = parsed("v2", request_2(written_series([watched])))
    assert request.symbols[0] == ""
    (series,) = request.timeseries
    assert (series.metadata.type, request.symbols[series.metadata.help_ref]) == (2, FINDING_METRICS["aiops_value"])
    assert [request.symbols[reference] for reference in series.labels_refs] == [
        "__name__",
        "aiops_value",
        "metric",
        "cpu",
        "zone",
        "",
    ]
