"""Times as people write them: ISO 8601, UTC where no offset stands."""

from datetime import UTC, datetime

from aiops.errors import ConfigurationError


def moment(name: str, text: str | None) -> datetime | None:
    """Return an ISO 8601 time; without an offset it is taken as UTC.

    Raises:
        ConfigurationError: not a time.
    """
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"{name}: {text!r} is not an ISO 8601 time; write for example 2026-01-31T12:00:00Z") from error
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
