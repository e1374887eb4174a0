"""Planning looks beside the incident: a cause that the cause of an older incident calls is left to that one."""

from pathlib import Path

import pytest

from aiops.automation.plan import Plan
from aiops.automation.runbook_text import read_runbook
from aiops.automation.trial.memory_targets import MemoryKind, MemoryTargets, memory_actions
from aiops.topology.graph import ServiceGraph
from serving.automation.runner.suite_planning import PlanningParts, SuitePlanning
from serving.incidents.store.records import IncidentCase
from tests.testing.incident_home import CALLS, SERVICES, JudgedHome, ServiceScore

TEXT = """
runbook: restart
title: Restart it
match: cause.exists && size(cause.above) == 0
do:
  - action: kubernetes.restart
limits: {replica_share: 1.0}
"""
GRAPH = ServiceGraph.from_pairs(CALLS, SERVICES)


def planning(home: JudgedHome) -> SuitePlanning:
    planners = {
        kind: action.planner
        for kind, action in memory_actions({"kubernetes.restart": MemoryKind("kubernetes.restart")}, MemoryTargets()).items()
    }
    runbooks = [read_runbook(TEXT, "restart.yaml")]
    return SuitePlanning(PlanningParts(home.store, lambda: runbooks, planners, lambda at: GRAPH, lambda case, service, at: None))


def begun(home: JudgedHome, service: str, cause: str) -> IncidentCase:
    (incident_id,) = home.begin(ServiceScore(service, 0.9))
    home.explain(incident_id, ServiceScore(cause, 5.0))
    return home.store.case(incident_id)


def planned(home: JudgedHome, case: IncidentCase) -> Plan | None:
    return planning(home).plan(case, home.now)


@pytest.mark.parametrize(("older", "is_planned"), [("web", False), ("cart", False), ("bank", True)])
def test_a_cause_below_that_of_an_older_incident_is_not_planned_for(tmp_path: Path, older: str, is_planned: bool) -> None:
    home = JudgedHome(tmp_path)
    begun(home, "alone", older)
    below = begun(home, "mail", "db")
    assert (planned(home, below) is not None) is is_planned


def test_the_older_incident_itself_is_planned_for(tmp_path: Path) -> None:
    home = JudgedHome(tmp_path)
    older = begun(home, "alone", "web")
    begun(home, "mail", "db")
    assert planned(home, older) is not None


def test_an_older_incident_that_has_ended_holds_nothing_up(tmp_path: Path) -> None:
    home = JudgedHome(tmp_path)
    begun(home, "alone", "web")
    home.detect(ServiceScore("bank", 0.9))
    below = begun(home, "mail", "db")
    assert planned(home, below) is not None
