"""Where the series of a request with metrics lie in its body."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serving.ingest.receive.wire.decoded import Float64s, Int64s

Table = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class OtlpRows:
    """(s,) columns of series and the (6, m) table of contexts, as the kernel fills them."""

    offset: Int64s
    size: Int64s
    kind: Int64s
    part: Int64s
    context: Int64s
    quantile: Float64s
    contexts: Table
