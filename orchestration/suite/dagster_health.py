"""Whether Dagster has the suite's code: its web server answers also where the code does not load, and then no schedule runs."""

from typing import Any, Final

import httpx

_QUERY: Final = """{ workspaceOrError { __typename
  ... on PythonError { message }
  ... on Workspace { locationEntries { name locationOrLoadError { __typename ... on PythonError { message } } } } } }"""


def code_fault(url: str, timeout_s: float) -> str:
    """Return why the web server at `url` could not load the code, "" where it has it or does not say in time."""
    try:
        answer = httpx.post(f"{url}/graphql", json={"query": _QUERY}, timeout=timeout_s, trust_env=False)
        answer.raise_for_status()
        workspace = answer.json()["data"]["workspaceOrError"]
        entries = workspace.get("locationEntries", [{"name": "workspace", "locationOrLoadError": workspace}])
    except httpx.TimeoutException:
        return ""
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        return f"it does not say whether its code is loaded ({type(error).__name__})"
    faults = [_fault(entry) for entry in entries]
    return "; ".join(fault for fault in faults if fault)


def _fault(entry: dict[str, Any]) -> str:
    outcome = entry["locationOrLoadError"] or {}
    if outcome.get("__typename") != "PythonError":
        return ""
    why = str(outcome.get("message", "")).strip().splitlines()
    return f"{entry['name']} does not load, so no schedule or job runs: {why[-1] if why else 'no reason given'}"[:300]
