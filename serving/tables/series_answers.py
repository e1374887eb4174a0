"""What the lake knows of series: names and meaning by the catalogue, when the last point came and how many come a minute.

Series that receivers defined are in the catalogue; what sources delivered is a gauge's value and is known by its points.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from aiops.errors import ConfigurationError
from data_contracts.schemas.wire_schemas import SERIES_CATALOGUE
from data_contracts.series.key import labels_of
from data_contracts.series.text import SeriesTextError, series_of, text_of
from serving.lake.port import Lake

KIND_OF_ROLE: Final = {"value": "gauge", "total": "counter", "delta": "counter"}
"""Every other role is of a histogram."""
RECENT: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)
"""Points a minute are counted over so long, up to the newest point of all series."""
PULLED: Final = "delivered by a source: values as they are"
_ORDER: Final[list[Any]] = [("service", "ascending"), ("metric", "ascending"), ("labels", "ascending")]


@dataclass(frozen=True, slots=True)
class SeriesFilter:
    """Globs that service and metric must match; `hours` before the newest point are looked at.

    `text`: part of service, metric or labels, in any case; empty = any.
    """

    service: str = "*"
    metric: str = "*"
    hours: float = 24.0
    text: str = ""


@dataclass(frozen=True, slots=True)
class SeriesAnswer:
    """One series. `last_at` and `points_per_minute` are those of what is scored; of a histogram's part, of what is made of it.

    `points_per_minute` is over the last hour before the newest point of all, of a younger lake over all that it has.
    `scored` = points are scored under this id. `last_at` is None where none came in the hours looked at.
    """

    series_id: str
    name: str
    service: str
    metric: str
    labels: dict[str, str]
    kind: str
    role: str
    unit: str | None
    why: str
    scored: bool
    first_seen_at: datetime | None
    last_at: datetime | None
    points_per_minute: float


@dataclass(frozen=True, slots=True)
class SeriesList:
    """The first `answers` in order of their names, of `matching` series; `more` = others follow."""

    answers: tuple[SeriesAnswer, ...]
    matching: int
    more: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class KnownSeries:
    """The series of a lake as they were known at one moment. Memory: a row a series."""

    every: pa.Table
    activity: pa.Table

    def listed(self, chosen: SeriesFilter, limit: int, after: int | None = None) -> SeriesList:
        """Return the first `limit` series that match; those behind the series `after` in the order where one is given.

        Raises:
            ConfigurationError: `limit` is below 1.
            LookupError: `after` is not known.
        """
        if limit < 1:
            raise ConfigurationError(f"limit={limit}: limit must be 1 or more")
        rows = self._matching(chosen).sort_by(_ORDER)
        behind = rows if after is None else rows.filter(_behind(rows, self._row(after)))
        answers = tuple(_answers(behind.slice(0, limit), self.every, self.activity))
        return SeriesList(answers, rows.num_rows, behind.num_rows > limit)

    def answer(self, series_id: int) -> SeriesAnswer | None:
        """Return one series, None where it is not known."""
        rows = self._rows(series_id)
        return _answers(rows, self.every, self.activity)[0] if rows.num_rows else None

    def _rows(self, series_id: int) -> pa.Table:
        return self.every.filter(pc.equal(self.every["series_id"], pa.scalar(series_id, pa.int64())))

    def _row(self, series_id: int) -> dict[str, Any]:
        rows = self._rows(series_id)
        if not rows.num_rows:
            raise LookupError(f"series {series_id} is not known")
        row: dict[str, Any] = rows.slice(0, 1).to_pylist()[0]
        return row

    def _matching(self, chosen: SeriesFilter) -> pa.Table:
        every = self.every
        matches = pc.and_(_matches(every["service"], chosen.service), _matches(every["metric"], chosen.metric))
        if chosen.text:
            texts = (every[name] for name in ("service", "metric", "labels"))
            held: list[Any] = [pc.match_substring(text, chosen.text, ignore_case=True) for text in texts]
            matches = pc.and_(matches, pc.or_(pc.or_(held[0], held[1]), held[2]))
        return every.filter(matches)


def known_series(lake: Lake, hours: float = 24.0) -> KnownSeries:
    """Return the series of a lake, received ones and others; time O(points of the hours looked at).

    Raises:
        ConfigurationError: `hours` is not above 0.
    """
    if hours <= 0:
        raise ConfigurationError(f"hours={hours:g}: hours must be above 0")
    activity = _activity(lake, hours)
    return KnownSeries(_every(lake.read("series"), activity), activity)


def list_series(lake: Lake, chosen: SeriesFilter, limit: int) -> SeriesList:
    """Return the series that match, received ones and others.

    Raises:
        ConfigurationError: `hours` is not above 0 or `limit` is below 1.
    """
    return known_series(lake, chosen.hours).listed(chosen, limit)


def show_series(lake: Lake, series: str, hours: float = 24.0) -> SeriesAnswer:
    """Return one series by its id or its text.

    Raises:
        ConfigurationError: nothing is known of it, or the text is of no series.
    """
    answer = known_series(lake, hours).answer(_id_of(series, lake.tenant))
    if answer is None:
        raise ConfigurationError(f"series {series!r} is not known; `aiops series list` shows names and ids")
    return answer


def _id_of(series: str, tenant: str) -> int:
    if series.removeprefix("-").isdecimal():
        return max(-(2**63), min(int(series), 2**63 - 1))
    try:
        return series_of(series, tenant).series_id
    except SeriesTextError as error:
        raise ConfigurationError(str(error)) from error


def _activity(lake: Lake, hours: float) -> pa.Table:
    newest = lake.newest("telemetry")
    if newest is None:
        epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
        return lake.activity(epoch, epoch, epoch)
    end = newest + timedelta(microseconds=1)
    return lake.activity(end - timedelta(hours=hours), end, end - RECENT)


def _every(catalogue: pa.Table, activity: pa.Table) -> pa.Table:
    """Return the catalogue and, with the same columns, the series that only their points tell of."""
    delivered = activity.filter(pc.invert(pc.is_in(activity["series_id"], catalogue["series_id"].combine_chunks())))
    count = delivered.num_rows
    known: dict[str, Any] = {
        **{name: delivered[name] for name in ("series_id", "service", "metric", "labels")},
        "role": pa.repeat("value", count),
        "why": pa.repeat(PULLED, count),
        "scored": pa.repeat(True, count),
    }
    nullable = catalogue.schema.remove(catalogue.schema.get_field_index("first_seen_at"))
    fields = [*nullable, pa.field("first_seen_at", SERIES_CATALOGUE.field("first_seen_at").type)]
    columns = [known.get(field.name, pa.nulls(count, field.type)) for field in fields]
    schema = pa.schema(fields)
    return pa.concat_tables([catalogue.select(schema.names).cast(schema), pa.table(columns, schema=schema)])


def _behind(rows: pa.Table, row: dict[str, Any]) -> Any:
    """Return which rows stand behind `row` in the order of `_ORDER`."""
    behind: Any = pa.scalar(False)
    for name, _ in reversed(_ORDER):
        cell = pa.scalar(row[name], pa.string())
        behind = pc.or_(pc.greater(rows[name], cell), pc.and_(pc.equal(rows[name], cell), behind))
    return behind


def _matches(column: Any, glob: str) -> Any:
    """Return which texts match a glob; Python once a distinct text."""
    distinct = column.unique().to_pylist()
    return pc.is_in(column, pa.array([text for text in distinct if fnmatchcase(text, glob)], pa.string()))


def _answers(rows: pa.Table, every: pa.Table, activity: pa.Table) -> list[SeriesAnswer]:
    cells = rows.to_pylist()
    made_of = _made_of(every, {row["family_id"] for row in cells if not row["scored"] and row["family_id"] is not None})
    wanted = {row["series_id"] for row in cells} | {series_id for ids in made_of.values() for series_id in ids}
    seen = {row["series_id"]: row for row in activity.filter(_among(activity["series_id"], wanted)).to_pylist()}
    minutes = _recent_minutes(activity)
    answers: list[SeriesAnswer] = []
    for row in cells:
        ids = [row["series_id"]] if row["scored"] else made_of.get(row["family_id"], [])
        answers.append(_answer(row, [seen[series_id] for series_id in ids if series_id in seen], minutes))
    return answers


def _recent_minutes(activity: pa.Table) -> float:
    """Return over how many minutes recent points are counted: an hour, or as long as there are points at all."""
    if not activity.num_rows:
        return RECENT / _MINUTE
    since_oldest: timedelta = pc.max(activity["newest"]).as_py() - pc.min(activity["oldest"]).as_py()
    return max(min(RECENT, since_oldest), _MINUTE) / _MINUTE


def _made_of(every: pa.Table, families: Collection[int]) -> dict[int, list[int]]:
    """Return the scored series of each family."""
    rows = every.filter(pc.and_(_among(every["family_id"], families), every["scored"]))
    ids: dict[int, list[int]] = {}
    for row in rows.select(["family_id", "series_id"]).to_pylist():
        ids.setdefault(row["family_id"], []).append(row["series_id"])
    return ids


def _among(column: Any, ids: Collection[int]) -> Any:
    return pc.is_in(column, pa.array(sorted(ids), pa.int64()))


def _answer(row: dict[str, Any], active: list[dict[str, Any]], minutes: float) -> SeriesAnswer:
    return SeriesAnswer(
        series_id=str(row["series_id"]),
        name=text_of(row["service"], row["metric"], row["labels"]),
        service=row["service"],
        metric=row["metric"],
        labels=dict(labels_of(row["labels"])),
        kind=KIND_OF_ROLE.get(row["role"], "histogram"),
        role=row["role"],
        unit=row["unit"],
        why=row["why"],
        scored=row["scored"],
        first_seen_at=row["first_seen_at"],
        last_at=max((point["newest"] for point in active), default=None),
        points_per_minute=max((point["recent_points"] for point in active), default=0) / minutes,
    )
