"""Series that have a place, and the id by which those that belong together lie in one partition."""

from collections.abc import Sequence
from typing import NamedTuple

from data_contracts.series.key import series_ids
from serving.ingest.receive.series_identity import Identity
from serving.ingest.receive.wire.decoded import Int64s


class KnownSeries(NamedTuple):
    """Series (n,): `meeting_id` is the id of the family (a classic histogram) where a series has one, else its own."""

    series_id: Int64s
    meeting_id: Int64s
    identities: Sequence[Identity]


def known_series(series_id: Int64s, identities: Sequence[Identity]) -> KnownSeries:
    """Return the series with the ids by which they meet."""
    meeting_id = series_id.copy()
    families = [(row, identity.family) for row, identity in enumerate(identities) if identity.family is not None]
    if families:
        meeting_id[[row for row, _ in families]] = series_ids([family for _, family in families])
    return KnownSeries(series_id, meeting_id, identities)
