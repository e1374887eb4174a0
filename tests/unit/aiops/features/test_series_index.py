"""Names of series: what many have in common is held once."""

from aiops.features.series_index import SeriesIndex
from data_contracts.series.series_name import SeriesName


def test_series_share_the_texts_of_their_service_and_metric() -> None:
    index = SeriesIndex()
    given = [
        SeriesName(number, "".join(["ca", "rt"]), "".join(["cpu", "_utilization"]), f'{{"core":"{number}"}}') for number in (1, 2)
    ]
    assert given[0].service is not given[1].service
    index.add(given)
    first, second = index.names
    assert index.names == given
    assert first.service is second.service
    assert first.metric is second.metric
