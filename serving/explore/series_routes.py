"""Routes of series: which there are, one, and its points over a range."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import Path, Query
from pydantic import Field
from starlette.responses import Response

from serving.explore.explore_ports import Series
from serving.explore.point_buckets import LEAST_BUCKETS
from serving.explore.series_reading import PointRange, SeriesReader
from serving.explore.series_views import SeriesLine, SeriesPage, SeriesPoints
from serving.http.auth import Role
from serving.http.operations import Operation, answer
from serving.http.problem import not_found, refused
from serving.incidents.api.request_fields import EXAMPLE, MOST_LISTED, Moment, Sent, ShortText
from serving.tables.series_answers import SeriesFilter

MOST_POINTS: Final = 2000
MOST_DAYS: Final = 92
MOST_OFFSET_S: Final = 366 * 86_400
_SHOWN: Final = timedelta(days=1)
_BIGGEST: Final = 2**63
_ID: Final = r"^-?[0-9]{1,19}$"
SeriesId = Annotated[str, Path(pattern=_ID, description="id of a series, as lists give it", examples=["-9188958456295745854"])]


class SeriesListing(Sent):
    """Filters of a list of series; they add up."""

    service: ShortText = Field("*", description="glob that the service must match", examples=["ca*"])
    metric: ShortText = Field("*", description="glob that the metric must match", examples=["*latency*"])
    text: ShortText = Field("", description="part of service, metric or labels, in any case", examples=["p99"])
    limit: int = Field(50, ge=1, le=MOST_LISTED, description="items of one page at most", examples=[50])
    cursor: str = Field("", pattern=r"^(-?[0-9]{1,19})?$", description="`next_cursor` of the page before", examples=[""])


class PointListing(Sent):
    """A range of points; what is left out of it is the day before `until`, which is the newest point of all."""

    since: Moment | None = Field(None, description="points from this time on", examples=[EXAMPLE])
    until: Moment | None = Field(None, description="points before this time", examples=[EXAMPLE])
    points: int = Field(500, ge=LEAST_BUCKETS, le=MOST_POINTS, description="points or buckets at most", examples=[500])
    offset_s: int = Field(
        0,
        ge=0,
        le=MOST_OFFSET_S,
        description="compare with the range that lay so many seconds before: 86400 = the day before; 0 = with none",
        examples=[86400],
    )


class SeriesRoutes:
    """Reads series of the tenant that asks."""

    def operations(self) -> tuple[Operation, ...]:
        """Return the routes."""
        path, see = "/series/{series_id}", Role.VIEWER
        points = "A series over a range: points, seasonal band and detections"
        return (
            Operation("GET", "/series", self.page, see, "Series in order of their names", SeriesPage),
            Operation("GET", path, self.line, see, "A series", SeriesLine, (404,)),
            Operation("GET", f"{path}/points", self.points, see, points, SeriesPoints, (404,)),
        )

    def page(self, series: Series, listing: Annotated[SeriesListing, Query()]) -> Response:
        """Those that receivers defined, and those of which points came in the 24 h before the newest point of all."""
        chosen = SeriesFilter(listing.service or "*", listing.metric or "*", text=listing.text)
        try:
            return answer(series.page(chosen, listing.limit, _number(listing.cursor) if listing.cursor else None))
        except LookupError as error:
            rule = "the series that the page before ended with is not known any more"
            raise refused("cursor", listing.cursor, rule, "begin with the first page") from error

    def line(self, series: Series, series_id: SeriesId) -> Response:
        """As lists show it."""
        return answer(_known(series, series_id))

    def points(self, series: Series, series_id: SeriesId, listing: Annotated[PointListing, Query()]) -> Response:
        """The points themselves where they are few enough, else buckets of one width with lowest, mean and highest value."""
        line = _known(series, series_id)
        return answer(series.points(line, _range(series, listing)))


def _known(series: SeriesReader, series_id: str) -> SeriesLine:
    line = series.line(_number(series_id))
    if line is None:
        raise not_found("series_id", series_id, "take one of GET /series")
    return line


def _number(series_id: str) -> int:
    """Return an id as a number of 64 bits; one beyond them is no series'."""
    return max(-_BIGGEST, min(int(series_id), _BIGGEST - 1))


def _range(series: SeriesReader, listing: PointListing) -> PointRange:
    until = listing.until or (listing.since + _SHOWN if listing.since else _behind_newest(series))
    since = listing.since or until - _SHOWN
    if since >= until:
        raise refused("since", since.isoformat(), f"must lie before until = {until.isoformat()}", "give an earlier time")
    if until - since > timedelta(days=MOST_DAYS):
        rule = f"a range of at most {MOST_DAYS} days is read, this one ends at {until.isoformat()}"
        raise refused("since", since.isoformat(), rule, "give a shorter range")
    return PointRange(since, until, listing.points, listing.offset_s)


def _behind_newest(series: SeriesReader) -> datetime:
    newest = series.newest()
    return datetime.now(UTC) if newest is None else newest + timedelta(microseconds=1)
