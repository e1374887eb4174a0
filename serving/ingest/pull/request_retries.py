"""Requests of pulled sources that are tried again: which answers that may help with, how often, how long to wait."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx

from aiops.errors import SourceError
from serving.ingest.pull.prometheus_replies import reason_of, retry_after_s

RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that may be another at the next try."""
_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 30.0
_LONGEST_RETRY_AFTER_S: Final = 300.0

Failure = Callable[[str, int], SourceError]
"""Makes the error of what happened and how often it was tried."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer whose status is none of `RETRIED`, and how often it was asked for."""

    response: httpx.Response
    tries: int


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to wait; `sleep` takes seconds, `uniform` returns a number in 0..1."""

    retries: int
    sleep: Callable[[float], None]
    uniform: Callable[[], float]

    def delay_s(self, attempt: int, asked_s: float | None) -> float:
        """Return the wait before attempt + 1: what the server asked for, else 0.5 s doubled each time, half of it by chance."""
        if asked_s is not None:
            return min(asked_s, _LONGEST_RETRY_AFTER_S)
        longest = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0**attempt)
        return longest * (0.5 + 0.5 * self.uniform())

    def answered(self, ask: Callable[[], httpx.Response], failure: Failure) -> Answered:
        """Return an answer, asked for again where the connection failed or its status is one of `RETRIED`.

        Raises:
            SourceError: every try failed; what `failure` makes of the last.
        """
        tries = 0
        while True:
            tries += 1
            asked_s: float | None = None
            try:
                response = ask()
            except httpx.TransportError as error:
                failed = failure(f"{type(error).__name__}: {error}", tries)
                failed.__cause__ = error
            else:
                if response.status_code not in RETRIED:
                    return Answered(response, tries)
                failed = failure(f"status {response.status_code}: {reason_of(response)}", tries)
                asked_s = retry_after_s(response)
            if tries > self.retries:
                raise failed
            self.sleep(self.delay_s(tries - 1, asked_s))
