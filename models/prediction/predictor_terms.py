"""What the trees of the incident predictor read: the features that say something by themselves, and the outlook of the others."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from aiops.types import FloatArray
from models.prediction.outlook import OUTLOOK, PAST, newest_of, outlook
from models.vectors.service_rows import bounded


@dataclass(frozen=True, slots=True)
class Terms:
    """The columns that trees read, made of a model's features: `names`, in order.

    `plain`: places of the features that are read as they are. `past`: places of `PAST`, or none where the model has no sequences.
    `owner`: place of the feature that a term's contribution counts for (an outlook's: the newest span of its signal).
    """

    names: tuple[str, ...]
    plain: tuple[int, ...]
    past: tuple[int, ...]
    owner: tuple[int, ...]

    def values(self, rows: FloatArray) -> FloatArray:
        """Return (n, len(names)) of rows (n, features): finite or NaN = unknown."""
        finite = bounded(rows)
        if not self.past:
            return finite
        return np.ascontiguousarray(np.hstack([finite[:, self.plain], outlook(finite[:, self.past])]))

    def by_feature(self, contributions: FloatArray, features: int) -> FloatArray:
        """Return (n, features): contributions (n, len(names)) of the terms, each counted for its owner."""
        by_owner = np.zeros((len(contributions), features))
        for term, owner in enumerate(self.owner):
            by_owner[:, owner] += contributions[:, term]
        return by_owner


@cache
def terms_of(features: tuple[str, ...]) -> Terms:
    """Return the terms of a model with these features; without the whole of `PAST` there is no outlook."""
    place = {name: number for number, name in enumerate(features)}
    if not all(name in place for name in PAST):
        everything = tuple(range(len(features)))
        return Terms(features, everything, (), everything)
    taken = frozenset(PAST)
    plain = tuple(number for number, name in enumerate(features) if name not in taken)
    names = (*(features[number] for number in plain), *OUTLOOK)
    owner = (*plain, *(place[newest_of(name)] for name in OUTLOOK))
    return Terms(names, plain, tuple(place[name] for name in PAST), owner)
