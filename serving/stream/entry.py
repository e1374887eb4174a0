"""One entry of a stream: its fields, its id, and what names it wherever it is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from data_contracts.series.tenant import DEFAULT_TENANT

START: Final = "0-0"
"""The id before all others."""


def id_parts(entry_id: str) -> tuple[int, int]:
    """Return an entry id as numbers that compare in stream order.

    >>> id_parts("12-3") < id_parts("112-0")
    True
    """
    major, _, minor = entry_id.partition("-")
    return int(major), int(minor or 0)


def id_after(entry_id: str) -> str:
    """Return the least id that comes after an entry's.

    >>> id_after("12-3")
    '12-4'
    """
    major, minor = id_parts(entry_id)
    return f"{major}-{minor + 1}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One stream entry. `source` = `<producer> <seq>-<part>`, "" where nobody is named; `ordinal` 0 where it is not known."""

    entry_id: str
    kind: bytes
    payload: bytes
    produced_ns: int
    available_us: int
    tenant: str = DEFAULT_TENANT
    source: str = ""
    ordinal: int = 0

    @property
    def name(self) -> str:
        """Return what names the entry wherever it is stored: its source, or its id where it has none."""
        return self.source or self.entry_id


def by_tenant(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return the entries by tenant, in order."""
    grouped: dict[str, list[Entry]] = {}
    for entry in entries:
        grouped.setdefault(entry.tenant, []).append(entry)
    return grouped


def entry_of(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    """Return the entry that the fields of a stream entry describe."""
    source = b" ".join(fields[name] for name in (b"p", b"s") if name in fields)
    return Entry(
        entry_id.decode(),
        fields.get(b"k", b""),
        fields.get(b"b", b""),
        int(fields.get(b"t", 0)),
        int(fields.get(b"a", 0)),
        fields[b"n"].decode(errors="replace") if b"n" in fields else DEFAULT_TENANT,
        source.decode(errors="replace"),
        int(fields.get(b"o", 0)),
    )
