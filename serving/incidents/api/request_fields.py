"""Parameters of the routes with their rules, once for all."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StringConstraints

from data_contracts.series.tenant import TENANT_HEADER

MOST_LISTED: Final = 200
PLAIN: Final = r"^[^\x00-\x1f\x7f]*$"
"""Text without control characters."""
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(2200, 1, 1, tzinfo=UTC)
EXAMPLE: Final = "2026-01-31T12:00:00Z"


def in_reach(moment: datetime) -> datetime:
    """Return a time in UTC; it must lie in the years 1970 to 2199."""
    if not _FIRST <= moment < _LAST:
        raise ValueError("must lie in the years 1970 to 2199")
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(in_reach)]
"""A time with a zone, RFC 3339."""

ShortText = Annotated[str, StringConstraints(max_length=200, pattern=PLAIN)]

IncidentId = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9._:-]{1,80}$",
        description="id of an incident, or its unique beginning",
        examples=["inc-2c26b46b68ffc68f"],
    ),
]
Limit = Annotated[int, Query(ge=1, le=MOST_LISTED, description="items of one page at most", examples=[50])]
Cursor = Annotated[
    str,
    Query(max_length=500, pattern=PLAIN, description="`next_cursor` of the page before; none = the first page", examples=[""]),
]
Name = Annotated[str, Path(min_length=1, max_length=200, pattern=PLAIN, description="its name", examples=["deploy-freeze"])]
TenantName = Annotated[
    str,
    Query(
        max_length=200,
        pattern=PLAIN,
        description=f"whose data, for senders and browsers that cannot set the header {TENANT_HEADER}",
        examples=["default"],
    ),
]


class Sent(BaseModel):
    """A body; unknown members are refused. Texts below its fields are their descriptions in /docs.json."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, use_attribute_docstrings=True)
