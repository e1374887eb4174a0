"""The route of an incident's evidence as a picture, and the port that draws it."""

import threading
from collections import OrderedDict
from typing import Final

from starlette.responses import Response

from serving.http.auth import Role
from serving.http.operations import Operation
from serving.http.problem import Problem, ProblemError
from serving.incidents.api.incident_routes import case_of
from serving.incidents.api.request_fields import IncidentId
from serving.incidents.api.tenant_parts import Parts

SVG: Final = "image/svg+xml"
_KEPT: Final = 32
_CSP: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""A picture has styles of its own; scripts in it would not run."""


class EvidenceDrawings:
    """Draws the newest analysis of an incident; the last pictures are kept. One is drawn at a time."""

    def __init__(self) -> None:
        self._drawn: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def operations(self) -> tuple[Operation, ...]:
        """Return the routes."""
        path, summary = "/incidents/{incident_id}/evidence.svg", "Evidence of the newest analysis: series along the path, as SVG"
        return (Operation("GET", path, self.drawn, Role.VIEWER, summary, problems=(404,), media=SVG),)

    def drawn(self, parts: Parts, incident_id: IncidentId) -> Response:
        """404 with kind not-analysed where there is no analysis yet."""
        case = case_of(parts.store, incident_id)
        if case.report is None:
            fix = "ask again in some seconds"
            detail = f"incident_id = {case.incident.incident_id}: was not analysed yet. Ask again in some seconds."
            raise ProblemError(Problem(404, "not-analysed", detail, "incident_id", case.incident.incident_id, "", fix))
        key = (parts.tenant, case.incident.incident_id, case.report.made_at)
        with self._lock:
            picture = self._drawn.get(key)
            if picture is None:
                picture = self._drawn[key] = parts.figures.figure(case.incident, case.report)
                while len(self._drawn) > _KEPT:
                    self._drawn.popitem(last=False)
        return Response(picture, media_type=SVG, headers={"content-security-policy": _CSP})
