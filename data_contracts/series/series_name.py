"""One series as a batch names it: its id for programs, its names for people."""

from typing import NamedTuple

from data_contracts.series.text import text_of


class SeriesName(NamedTuple):
    """Id, service, metric without labels, and the labels as canonical text; the tenant is that of the container."""

    series_id: int
    service: str
    metric: str
    labels: str

    @property
    def text(self) -> str:
        """Return the series as people read it.

        >>> SeriesName(1, "cart", "http_requests", '{"code":"500"}').text
        'cart|http_requests{code="500"}'
        """
        return text_of(self.service, self.metric, self.labels)
