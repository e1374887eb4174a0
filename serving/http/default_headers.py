"""Headers that an answer gets where it does not bring its own."""

from collections.abc import Iterable

from starlette.types import Message


def with_defaults(start: Message, defaults: Iterable[tuple[bytes, bytes]]) -> None:
    """Add to the start of an answer those headers, names in lower case, that it lacks. One pass: it is done for every answer."""
    given = list(start["headers"])
    names = {name for name, _ in given}
    start["headers"] = given + [header for header in defaults if header[0] not in names]
