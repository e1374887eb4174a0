"""A stored analysis, weighed again with other priors, ranks as a new analysis of the same telemetry would."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from aiops.incidents.feedback.verdict_effects import first_cause
from models.rca.explain import explain
from orchestration.bench.simulated.rca_cases import cases_of


def test_the_preview_of_rankings_is_what_an_analysis_would_say() -> None:
    moved = 0
    for case in islice(cases_of([4]), 12):
        report = explain(case.inputs)
        names = [cause.service for cause in report.causes]
        assert first_cause(report.causes, {}) == (names[0] if names else "")
        if len(names) < 2:
            continue
        odds = np.log([cause.probability for cause in report.causes])
        scores = np.array([cause.score for cause in report.causes])
        assert odds - odds[0] == pytest.approx(scores - scores[0], abs=1e-6), "scores are log odds before the prior"
        for priors in ({names[0]: -1.5, names[1]: 1.5}, {names[-1]: 0.9}):
            foretold = first_cause(report.causes, priors)
            assert explain(replace(case.inputs, priors=priors)).causes[0].service == foretold
            moved += foretold != names[0]
    assert moved > 0
