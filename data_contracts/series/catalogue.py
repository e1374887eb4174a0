"""The catalogue: which key an id stands for. An id that two keys share is refused, naming both, before either is mixed up."""

from collections.abc import Iterable, Iterator

from data_contracts.series.key import SeriesKey, series_ids


class SeriesCollisionError(ValueError):
    """Two different keys have the same 64-bit id; one of the two must be renamed."""


class SeriesCatalogue:
    """Keys by id. Memory: about 200 bytes a series beside the texts, which keys share where they are equal."""

    def __init__(self) -> None:
        self._key_of: dict[int, SeriesKey] = {}

    def __len__(self) -> int:
        return len(self._key_of)

    def __iter__(self) -> Iterator[tuple[int, SeriesKey]]:
        return iter(self._key_of.items())

    def add(self, keys: Iterable[SeriesKey]) -> None:
        """Remember keys under their ids; known ones stay.

        Raises:
            SeriesCollisionError: a key has the id of another one; no key of the call is remembered beyond it.
        """
        wanted = list(keys)
        for series_id, key in zip(series_ids(wanted).tolist(), wanted, strict=True):
            self.note(series_id, key)

    def note(self, series_id: int, key: SeriesKey) -> None:
        """Remember one key whose id is known already.

        Raises:
            SeriesCollisionError: another key has that id.
        """
        known = self._key_of.setdefault(series_id, key)
        if known != key:
            raise SeriesCollisionError(
                f"series id {series_id} stands for {known} and for {key}: rename a label or the metric of one"
            )

    def key_of(self, series_id: int) -> SeriesKey:
        """Return the key of an id.

        Raises:
            KeyError: the catalogue does not know the id.
        """
        return self._key_of[series_id]
