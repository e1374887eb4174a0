"""How services look in each case of a runbook's test: what the runbook's own conditions are judged by."""

from typing import Final

from aiops.automation.service_state import Judgement, ServiceState

_POINTS: Final = 60
WELL: Final = ServiceState(0.0, 0.0, 0, 0, _POINTS)
ILL: Final = ServiceState(8.0, 12.0, 2, 0, _POINTS)
"""At its peak, and after an action that was taken back."""
_HALF_WELL: Final = ServiceState(6.0, 9.0, 1, 0, _POINTS)
_WORSE: Final = ServiceState(24.0, 36.0, 4, 1, _POINTS)
_AFTER: Final = {"cured": WELL, "killed": WELL, "changed": WELL, "worse": _WORSE, "unclear": _HALF_WELL}


def looks_of(case: str, taken_back: bool) -> Judgement:
    """Return three looks at the services: before the trouble, at its peak, and after the action, or after it was taken back."""
    return Judgement(WELL, ILL, ILL if taken_back else _AFTER[case])
