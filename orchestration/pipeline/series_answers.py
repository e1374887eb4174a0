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
from orchestration.workspace.workspace import Workspace

KIND_OF_ROLE: Final = {"value": "gauge", "total": "counter", "delta": "counter"}
"""Every other role is of a histogram."""
RECENT: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)
"""Points a minute are counted over so long, up to the newest point of all series."""
PULLED: Final = "delivered by a source: values as they are"
_ORDER: Final[list[Any]] = [("service", "ascending"), ("metric", "ascending"), ("labels", "ascending")]


@dataclass(frozen=True, slots=True)
class SeriesFilter:
    """Globs that service and metric must match; `hours` before the newest point are looked at."""

    service: str = "*"
    metric: str = "*"
    hours: float = 24.0


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
    """The first `answers` in order of their names, of `matching` series."""

    answers: tuple[SeriesAnswer, ...]
    matching: int


def list_series(workspace: Workspace, chosen: SeriesFilter, limit: int) -> SeriesList:
    """Return the series that match, received ones and others.

    Raises:
        ConfigurationError: `hours` is not above 0 or `limit` is below 1.
    """
    if chosen.hours <= 0 or limit < 1:
        raise ConfigurationError(f"hours={chosen.hours:g}, limit={limit}: hours must be above 0 and limit 1 or more")
    activity = _activity(workspace, chosen.hours)
    every = _every(workspace.lake.read("series"), activity)
    rows = every.filter(pc.and_(_matches(every["service"], chosen.service), _matches(every["metric"], chosen.metric)))
    return SeriesList(tuple(_answers(rows.sort_by(_ORDER).slice(0, limit), every, activity)), rows.num_rows)


def show_series(workspace: Workspace, series: str, hours: float = 24.0) -> SeriesAnswer:
    """Return one series by its id or its text.

    Raises:
        ConfigurationError: nothing is known of it, or the text is of no series.
    """
    activity = _activity(workspace, hours)
    every = _every(workspace.lake.read("series"), activity)
    rows = every.filter(pc.equal(every["series_id"], pa.scalar(_id_of(series, workspace.tenant), pa.int64())))
    if not rows.num_rows:
        raise ConfigurationError(f"series {series!r} is not known; `aiops series list` shows names and ids")
    return _answers(rows, every, activity)[0]


def _id_of(series: str, tenant: str) -> int:
    if series.removeprefix("-").isdecimal():
        return max(-(2**63), min(int(series), 2**63 - 1))
    try:
        return series_of(series, tenant).series_id
    except SeriesTextError as error:
        raise ConfigurationError(str(error)) from error


def _activity(workspace: Workspace, hours: float) -> pa.Table:
    newest = workspace.lake.newest("telemetry")
    if newest is None:
        epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
        return workspace.lake.activity(epoch, epoch, epoch)
    end = newest + timedelta(microseconds=1)
    return workspace.lake.activity(end - timedelta(hours=hours), end, end - RECENT)


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
