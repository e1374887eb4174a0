"""What the challenger does: nothing, score in the shadow, or answer a fixed share of the services."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from serving.scoring.requests.vector_rows import BoolArray

Mode = Literal["off", "shadow", "share"]
_BUCKETS: Final = 10_000


@dataclass(frozen=True, slots=True)
class ChallengerPolicy:
    """`share` of the services are the challenger's in mode "share"."""

    mode: Mode
    share: float

    def answered_by_challenger(self, services: pa.StringArray) -> BoolArray:
        """Return (n,) which rows the challenger answers: a service is always on the same side, in every process."""
        if self.mode != "share":
            return np.zeros(len(services), dtype=np.bool_)
        encoded = services.dictionary_encode()
        chosen = np.fromiter(
            (bucket_of(str(name)) < self.share * _BUCKETS for name in encoded.dictionary.to_pylist()), dtype=np.bool_
        )
        return np.asarray(chosen[encoded.indices.to_numpy(zero_copy_only=False)], dtype=np.bool_)


def bucket_of(service: str) -> int:
    """Return the service's bucket, 0..9999, evenly spread and the same everywhere.

    >>> bucket_of("checkout") == bucket_of("checkout")
    True
    """
    return int.from_bytes(blake2b(service.encode(), digest_size=8).digest(), "big") % _BUCKETS
