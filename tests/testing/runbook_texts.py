"""Texts of runbooks for tests."""

from collections.abc import Iterable

from aiops.automation.action import PlainMapping
from aiops.automation.runbook_text import ParameterFault


def any_parameters(parameters: PlainMapping) -> Iterable[ParameterFault]:
    """Return that nothing is wrong."""
    del parameters
    return ()


KINDS = dict.fromkeys(("kubernetes.rollback", "kubernetes.scale", "feature_flag"), any_parameters)
ROLL_BACK = """\
# what a person would do
runbook: roll-back
title: Roll the deployment of a service back
match: >
  cause.decided && cause.probability > 0.8
  && change.exists && change.kind == "deployment"
needs:
  - that: service.reach < 50
    why: too many callers
do:
  - action: kubernetes.rollback
    with: {deployment: "{service}", namespace: shop}
    timeout: 2m
verify:
  settle: 90s
"""
