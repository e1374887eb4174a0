"""A refused request as a value that names field, value, rule and fix; one table maps it to HTTP and gRPC.

Source: RFC 9457, Problem Details for HTTP APIs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import orjson

PROBLEM_JSON: Final = "application/problem+json"
_VALUE_CHARACTERS: Final = 100

TITLES: Final[dict[int, str]] = {
    400: "The request breaks the contract",
    401: "Authentication required",
    403: "Not allowed for this caller",
    404: "Not found",
    405: "The method is not allowed here",
    409: "The state does not allow it",
    413: "The body is too large",
    415: "The content type is not supported",
    429: "Too many requests at once",
    500: "The service failed",
    503: "Not available now",
    504: "The request took too long",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a request; `kind` is a stable word for programs, the rest is for people."""

    status: int
    kind: str
    detail: str
    field: str = ""
    value: str = ""
    rule: str = ""
    fix: str = ""
    allow: tuple[str, ...] = ()
    """Methods that the path takes, for a 405."""

    def headers(self, request_id: str) -> dict[str, str]:
        """Return the headers that go with the body; those of the status included."""
        added = {401: {"www-authenticate": "Bearer"}, 429: {"retry-after": "1"}, 503: {"retry-after": "1"}}
        allow = {"allow": ", ".join(self.allow)} if self.allow else {}
        return {"x-request-id": request_id} | added.get(self.status, {}) | allow

    def to_json(self, request_id: str) -> bytes:
        """Return the `application/problem+json` body; empty members are left out."""
        members: dict[str, str | int] = {
            "type": f"urn:aiops:problem:{self.kind}",
            "title": TITLES[self.status],
            "status": self.status,
            "detail": self.detail,
        }
        optional = {"field": self.field, "value": self.value, "rule": self.rule, "fix": self.fix}
        members |= {name: text for name, text in optional.items() if text}
        return orjson.dumps(members | {"request_id": request_id})


class ProblemError(Exception):
    """Carries a `Problem` from where it is found to the transport that answers it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def shown(value: object) -> str:
    """Return `value` as text for a problem, cut to 100 characters, without control characters.

    >>> shown("x" * 200)[-1]
    '…'
    """
    text = value if isinstance(value, str) else repr(value)
    clean = "".join(character if character.isprintable() else "�" for character in text[: _VALUE_CHARACTERS + 1])
    return clean if len(clean) <= _VALUE_CHARACTERS else clean[:_VALUE_CHARACTERS] + "…"


def refused(field: str, value: object, rule: str, fix: str, kind: str = "invalid") -> ProblemError:
    """Return a 400 that names field, value, rule and fix, ready to be raised."""
    text = shown(value)
    place = f"{field} = {text}" if text else field
    detail = f"{place}: {rule}. {fix[:1].upper()}{fix[1:]}."
    return ProblemError(Problem(400, kind, detail, field, text, rule, fix))


def not_found(field: str, value: str, fix: str, rule: str = "is not known") -> ProblemError:
    """Return a 404 that names what is not there."""
    text = shown(value)
    detail = f"{field} = {text}: {shown_long(rule)}. {fix[:1].upper()}{fix[1:]}."
    return ProblemError(Problem(404, "not-found", detail, field, text, shown_long(rule), fix))


def conflict(field: str, value: str, rule: str, fix: str) -> ProblemError:
    """Return a 409: what is asked does not follow from what is."""
    text = shown(value)
    return ProblemError(Problem(409, "conflict", f"{field} = {text}: {shown_long(rule)}", field, text, shown_long(rule), fix))


def no_such_path(path: str) -> Problem:
    """Return the 404 of a path that the service does not have."""
    return Problem(404, "path", "no such path. The paths are listed at /docs.json.", "path", shown(path), "", "see /docs.json")


def no_such_method(method: str, allowed: Iterable[str]) -> Problem:
    """Return the 405 of a method that a path does not take; `allowed` goes into the header Allow."""
    takes, text = tuple(sorted(allowed)), shown(method)
    rule = f"this path takes {', '.join(takes)} only"
    return Problem(405, "method", f"method = {text}: {rule}.", "method", text, rule, f"send {' or '.join(takes)}", takes)


def shown_long(text: str) -> str:
    """Return a message of up to 1,000 characters without control characters."""
    return "".join(character if character.isprintable() else "�" for character in text[:1000])
