"""Launches a job of a Dagster through its GraphQL API; the run bears the step's key as a tag, so that it is launched once.

Source: Dagster, GraphQL API: launchRun, runsOrError with a filter by tags.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Final

import httpx
from pydantic import Field, JsonValue

from aiops.automation.action import ActionRequest, PlannedStep, Risk
from aiops.errors import ContractError, StepRefused, Unavailable, legible
from serving.automation.actions.action_parameters import Parameters, parsed
from serving.automation.actions.allowed_hosts import AllowedHosts
from serving.automation.actions.state_action import StateChange, request_of

KIND: Final = "dagster.job"
KEY_TAG: Final = "aiops/run"
"""Tag of a launched run: which step of which run of the suite launched it."""
_TIMEOUT_S: Final = 20.0
_SHOWN: Final = 20
_REPOSITORIES: Final = """
query { repositoriesOrError { __typename
  ... on RepositoryConnection { nodes { name location { name } jobs { name } } } ... on PythonError { message } } }
"""
_RUNS: Final = """
query($tags: [ExecutionTag!]) { runsOrError(filter: {tags: $tags}, limit: 1) { __typename
  ... on Runs { results { runId } } ... on PythonError { message } } }
"""
_LAUNCH: Final = """
mutation($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
  ... on LaunchRunSuccess { run { runId } } ... on RunConfigValidationInvalid { errors { message } }
  ... on PythonError { message } ... on UnauthorizedError { message } ... on PipelineNotFoundError { message } } }
"""
_NOT_KNOWN: Final = "PythonError"
"""Answer after which a run may have been made."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$")]


class DagsterParameters(Parameters):
    """`job` of the suite's Dagster, or of that at `url`, whose host must be allowed; `location` where several have the job.

    `config`: run config; `tags` of the run.
    """

    job: Name
    url: Annotated[str, Field(pattern=r"^https?://[^\s@?#]+$", max_length=500)] | None = None
    location: Name | None = None
    config: Annotated[dict[str, JsonValue], Field(default_factory=dict)]
    tags: Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_./-]{1,63}$")], str], Field(default_factory=dict, max_length=20)
    ]


@dataclass(frozen=True, slots=True)
class _Job:
    """Where a job lies."""

    location: str
    repository: str
    name: str

    @property
    def selector(self) -> dict[str, str]:
        return {"repositoryLocationName": self.location, "repositoryName": self.repository, "jobName": self.name}


class DagsterJob:
    """Launches one run of a job; that the run succeeds is not waited for, and it cannot be taken back."""

    kind = KIND
    parameters = DagsterParameters
    risk = Risk.HIGH

    def __init__(self, own_url: str, hosts: AllowedHosts) -> None:
        self._own_url = own_url
        self._hosts = hosts

    def change(self, request: ActionRequest) -> StateChange:
        """Return the run that would be launched.

        Raises:
            ContractError: there is no such job, or it lies in several locations and none is named.
            Unavailable: Dagster does not answer.
        """
        parameters = parsed(DagsterParameters, request)
        job = self._job(parameters)
        return StateChange(
            target=f"dagster {job.location} {job.name}",
            parameters={**request.parameters, "location": job.location},
            before={"launched": False},
            after={"launched": True},
            difference=f"one run of {job.name} ({job.location}) with config {json.dumps(parameters.config)[:300]}",
            effect=f"{job.name} runs; what comes of it stands in Dagster, its run has the tag {KEY_TAG}",
            risk=Risk.HIGH,
            replica_share=0.0,
        )

    def is_done(self, step: PlannedStep, key: str) -> bool:
        """Return whether a run has the key as its tag."""
        parameters = parsed(DagsterParameters, request_of(step))
        answer = self._asked(parameters, _RUNS, {"tags": [{"key": KEY_TAG, "value": key}]})["runsOrError"]
        if answer["__typename"] != "Runs":
            raise Unavailable(f"{step.target}: {legible(answer.get('message', answer['__typename']))}")
        return bool(answer["results"])

    def bring_about(self, step: PlannedStep, key: str) -> None:
        """Launch the run.

        Raises:
            StepRefused: Dagster refuses it, for example its config.
            Unavailable: no answer, or one that leaves open whether a run was made.
        """
        parameters = parsed(DagsterParameters, request_of(step))
        try:
            job = self._job(parameters)
        except ContractError as error:
            raise StepRefused(f"{step.target}: {error}") from error
        tags = [{"key": name, "value": value} for name, value in {**parameters.tags, KEY_TAG: key}.items()]
        params = {"selector": job.selector, "runConfigData": parameters.config, "executionMetadata": {"tags": tags}}
        answer = self._asked(parameters, _LAUNCH, {"params": params})["launchRun"]
        if answer["__typename"] == "LaunchRunSuccess":
            return
        why = answer.get("message") or "; ".join(error["message"] for error in answer.get("errors", ())) or answer["__typename"]
        kind = Unavailable if answer["__typename"] == _NOT_KNOWN else StepRefused
        raise kind(f"{step.target}: Dagster answers {answer['__typename']}: {legible(why)}")

    def _job(self, parameters: DagsterParameters) -> _Job:
        answer = self._asked(parameters, _REPOSITORIES, {})["repositoriesOrError"]
        if answer["__typename"] != "RepositoryConnection":
            raise Unavailable(f"dagster: its code does not load: {legible(answer.get('message', answer['__typename']))}")
        jobs = [_Job(node["location"]["name"], node["name"], job["name"]) for node in answer["nodes"] for job in node["jobs"]]
        named = [job for job in jobs if job.name == parameters.job and parameters.location in (None, job.location)]
        if len(named) > 1:
            places = ", ".join(sorted(job.location for job in named))
            raise ContractError(f"with.job={parameters.job!r} is in several locations: {places}; name one in with.location")
        if not named:
            known = ", ".join(sorted({job.name for job in jobs})[:_SHOWN]) or "none"
            raise ContractError(f"with.job={parameters.job!r}: Dagster has no such job; it has: {known}")
        return named[0]

    def _asked(self, parameters: DagsterParameters, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Return the data of an answer.

        Raises:
            ContractError: the host is not allowed.
            Unavailable: no answer, or none of GraphQL.
        """
        url = self._own_url
        if parameters.url is not None:
            self._hosts.check(parameters.url)
            url = parameters.url
        address = f"{url.rstrip('/')}/graphql"
        try:
            with httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
                answer = client.post(address, json={"query": query, "variables": variables})
                answer.raise_for_status()
                data = answer.json()["data"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(f"dagster {address} does not answer: {legible(error)}; check that it runs") from error
        if not isinstance(data, dict):
            raise Unavailable(f"dagster {address} answers without data; check its version")
        return data
