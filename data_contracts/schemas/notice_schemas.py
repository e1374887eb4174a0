"""Arrow schema of notices: what the suite itself has to say of what it watches, read by the responder as alerts."""

from typing import Final

from data_contracts.schemas.arrow_columns import column, table
from data_contracts.schemas.telemetry_schemas import NAME, TIMESTAMP

SEVERITIES: Final = ("info", "warning", "critical")

NOTICES: Final = table(
    "notices",
    1,
    column("timestamp", TIMESTAMP, meaning="wall clock when it was noticed; said again later, it has a later time"),
    column("service", NAME, meaning="the service that it concerns"),
    column("name", NAME, meaning="what is wrong, in a few words; the name of the alert"),
    column("subject", NAME, meaning="what distinguishes several of one name and service; empty = there is but one"),
    column("severity", NAME, meaning="one of SEVERITIES"),
    column("starts_at", TIMESTAMP, meaning="when it began; the same while it lasts, and when it ends"),
    column("ends_at", TIMESTAMP, nullable=True, meaning="when it ended; null = it lasts"),
    column("text", NAME, meaning="one or two sentences: what, since when, what to do"),
)
"""What began or ended; equal rows are one notice, however often they are written."""
