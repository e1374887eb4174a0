"""Which failing steps of a run are tried again: those that time may mend."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import dagster as dg

from aiops.errors import AiopsError, Unavailable

RETRY: Final = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


@contextmanager
def judged() -> Iterator[None]:
    """Let an error that the suite raises on purpose fail the step at once, unless a dependency did not answer.

    Raises:
        dg.Failure: instead of that error, with its message.
    """
    try:
        yield
    except Unavailable:
        raise
    except AiopsError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
