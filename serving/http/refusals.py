"""Every refusal as problem JSON: those of the routes, of FastAPI's own validation, of the router, and what went wrong inside."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from aiops.errors import AiopsError, ConfigurationError, ContractError, Unavailable
from serving.host.log_rate_limit import LineLimit
from serving.http.problem import TITLES, Problem, ProblemError, no_such_method, no_such_path, refused, shown, shown_long
from serving.http.problem_response import problem_response
from serving.http.request_gate import FAILED, REQUEST_ID

_lines = LineLimit(logging.getLogger(__name__))
_PLACES: Final = frozenset({"body", "query", "path", "header"})


def handle_problems(app: FastAPI) -> None:
    """Answer every exception that is known with a problem; the gate answers the others."""
    app.add_exception_handler(ProblemError, _answered)
    app.add_exception_handler(RequestValidationError, _answered)
    app.add_exception_handler(HTTPException, _answered)
    app.add_exception_handler(AiopsError, _answered)


async def _answered(request: Request, error: Exception) -> Response:
    if isinstance(error.__cause__, ClientDisconnect):  # FastAPI takes it for a body that cannot be read
        raise error.__cause__
    problem = problem_of(error, request.method, request.url.path)
    if problem.status >= 500:
        kind = type(error).__name__
        _lines.warn(kind, f"{request.method} {request.url.path}: {kind}: {error}")
    return problem_response(problem, request.scope[REQUEST_ID])


def problem_of(error: Exception, method: str, path: str) -> Problem:
    """Return the problem that describes an error; an unexpected one is described by no more than that it happened."""
    if isinstance(error, ProblemError):
        return error.problem
    if isinstance(error, RequestValidationError):
        return invalid(error.errors()).problem
    if isinstance(error, HTTPException):
        if isinstance(error.__cause__, ProblemError):  # FastAPI wraps what is raised while it reads the body
            return error.__cause__.problem
        return _of_router(error, method, path)
    if isinstance(error, ConfigurationError | ContractError):
        return Problem(400, "invalid", shown_long(str(error)))
    if isinstance(error, Unavailable):
        return Problem(503, "unavailable", shown_long(str(error)), fix="send it again")
    return FAILED


def invalid(errors: Sequence[Mapping[str, Any]]) -> ProblemError:
    """Return the first error of a validation as a problem that names field, value, rule and fix."""
    if not errors:
        return refused("request", "", "breaks the contract", "see /docs.json")
    error = errors[0]
    place = [part for part in error.get("loc", ()) if part not in _PLACES]
    if error.get("type") == "json_invalid":
        reason = str(error.get("ctx", {}).get("error", "not JSON"))
        return refused("body", "", f"is not JSON ({shown(reason)} at character {place[-1] if place else 0})", "send JSON")
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".") or "body"
    value = "" if error.get("type") == "missing" else error.get("input", "")
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return refused(shown(field), value, shown(str(error.get("msg", "breaks the contract"))) + more, "see /docs.json")


def _of_router(error: HTTPException, method: str, path: str) -> Problem:
    if error.status_code == 404:
        return no_such_path(path)
    if error.status_code == 405:
        return no_such_method(method, (error.headers or {}).get("Allow", "").split(", "))
    status = error.status_code if error.status_code in TITLES else 400
    return Problem(status, "invalid", shown_long(str(error.detail)))
