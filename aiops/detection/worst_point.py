"""A point with the tier 1 view of it, and how severe it is: what a detection will name.

Severity = |z| / alarm_z of the series; a value outside its static limits is above every z, and what the second opinion is certain
of above that; what it finds rare is flagged at least.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from aiops.types import FloatArray, IntArray

if TYPE_CHECKING:
    from aiops.features.series_names import SeriesNames

OUTSIDE_LIMITS: Final = 1e6
"""Added to the severity of a value outside its static limits."""
BRIEF: Final = 0.999
"""Greatest severity of a point whose excursion has not lasted yet."""
CERTAIN: Final = 2e6
"""Severity of what the second opinion is certain of."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the second opinion of tier 1 says of a point, in words; `certain`: no other tier can judge it, none is needed."""

    words: str
    certain: bool


@dataclass(frozen=True, slots=True)
class WorstPoint:
    """One point with the tier 1 view of it; `severity` >= 1 = tier 1 raised the alarm."""

    timestamp_us: int
    series_id: int
    metric: str
    labels: str
    value: float
    z: float
    alarm_z: float
    score: float
    expected: float
    lower: float
    upper: float
    severity: float
    weight: float = 1.0
    finding: str = ""
    certain: bool = False

    @property
    def flagged(self) -> bool:
        """Return whether tier 1 raised the alarm."""
        return self.severity >= 1.0


@dataclass(frozen=True, slots=True)
class JudgedPoints:
    """Points of one batch as columns (n,): `slot` is a number in `series` where the severity is known, `service` in the names."""

    series: "SeriesNames"
    slot: npt.NDArray[np.int32]
    service_names: Sequence[str]
    service: IntArray
    timestamp_us: IntArray
    value: FloatArray
    z: FloatArray
    alarm_z: FloatArray
    score: FloatArray
    expected: FloatArray
    lower: FloatArray
    upper: FloatArray
    severity: FloatArray
    weight: FloatArray  # of points beyond their bound, see `features.straying`
    findings: Mapping[int, Finding] = field(default_factory=dict)
    """By row."""


def with_findings(severity: FloatArray, findings: Mapping[int, Finding]) -> FloatArray:
    """Return (n,) severities in which every finding is a flag."""
    if not findings:
        return severity
    raised = severity.copy()
    for row, finding in findings.items():
        raised[row] = CERTAIN if finding.certain else np.fmax(severity[row], 1.0)
    return raised
