"""Refusals as answers of Starlette."""

from starlette.responses import Response

from serving.http.problem import PROBLEM_JSON, Problem


def problem_response(problem: Problem, request_id: str) -> Response:
    """Return a problem as `application/problem+json`, with the headers that its status asks for."""
    return Response(problem.to_json(request_id), problem.status, problem.headers(request_id), PROBLEM_JSON)
