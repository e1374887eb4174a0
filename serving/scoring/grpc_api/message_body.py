"""The body of a request: typed rows or an Arrow stream, one of the two."""

from collections.abc import Callable
from typing import Any, TypeVar

from serving.http.problem import refused

Rows = TypeVar("Rows")


def rows_of_body(request: Any, of_rows: Callable[[Any], Rows], of_arrow: Callable[[bytes], Rows]) -> Rows:
    """Return the rows of a request with the fields `rows` and `arrow_stream`.

    Raises:
        ProblemError: 400, neither is set; what the two functions raise.
    """
    body = request.WhichOneof("body")
    if body is None:
        raise refused("body", "", "rows or arrow_stream is set", "set one of them")
    return of_arrow(request.arrow_stream) if body == "arrow_stream" else of_rows(request.rows)
