"""`aiops runbooks …`: the runbooks in force, what is wrong with files, which fit an incident, and what they would have done."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiops.automation.fact_names import IncidentView
from aiops.automation.fact_values import match_facts
from aiops.automation.matching import RunbookMatch, matches
from aiops.automation.past_incidents import PastIncident
from aiops.automation.runbook_text import VersionedRunbook
from aiops.automation.shadow import ShadowReport, replayed
from aiops.errors import ConfigurationError
from aiops.incidents.incident import Incident, IncidentState
from aiops.settings.tree import Settings
from serving.automation.actions.parameter_rules import kinds_of
from serving.automation.runbook_folder import LIBRARY, RunbookFolder, RunbookSet, RunbookShelf
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import MOST_ITEMS, IncidentFilter, PageRequest

if TYPE_CHECKING:
    from serving.automation.trial.runbook_trial import TrialResult

_OVER: Final = frozenset({IncidentState.RESOLVED, IncidentState.MERGED})


@dataclass(frozen=True, slots=True)
class RunbookLine:
    """A runbook in one line of a list; `in_force` False = it lies in the library, which is not in force."""

    name: str
    version: str
    title: str
    target: str
    actions: tuple[str, ...]
    source: str
    in_force: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """Which runbooks fit an incident, as of when, and why the others do not."""

    incident_id: str
    at: datetime
    lines: tuple["MatchLine", ...]


@dataclass(frozen=True, slots=True)
class MatchLine:
    """Whether a runbook fits; `because` names the parts of its expression that do not hold."""

    runbook: str
    version: str
    fits: bool
    service: str
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TriedRunbook:
    """What came of the tests of a runbook; none = it brings none."""

    runbook: str
    version: str
    passed: bool
    tests: tuple["TrialResult", ...]


def in_force(settings: Settings) -> RunbookSet:
    """Return the runbooks of the tenant of the settings, and what is wrong with their files."""
    return RunbookShelf(settings.runbooks_path(settings.tenant), settings.automation.library, kinds_of()).read()


def listed(settings: Settings) -> tuple[RunbookLine, ...]:
    """Return the runbooks in force, then those of the library that are not, each by name."""
    active = in_force(settings).runbooks
    names = {runbook.name for runbook in active}
    resting = [runbook for runbook in library().runbooks if runbook.name not in names]
    return (*(_line(runbook, True) for runbook in active), *(_line(runbook, False) for runbook in resting))


def library() -> RunbookSet:
    """Return the runbooks that come with the suite."""
    return RunbookFolder(LIBRARY, kinds_of()).read()


def named(settings: Settings, name: str) -> VersionedRunbook:
    """Return a runbook by its name, one of the library as well where it is not in force.

    Raises:
        ConfigurationError: there is none of that name.
    """
    runbook = in_force(settings).named(name) or library().named(name)
    if runbook is None:
        known = ", ".join(line.name for line in listed(settings))
        raise ConfigurationError(f"runbook {name!r} is not known; known: {known}")
    return runbook


def text_of(settings: Settings, runbook: VersionedRunbook) -> str:
    """Return the text of a runbook as it lies in its file."""
    active = in_force(settings).named(runbook.name)
    own = settings.runbooks_path(settings.tenant) / runbook.source
    path = own if active is not None and own.is_file() else LIBRARY / runbook.source
    return path.read_text(encoding="utf-8")


def checked(settings: Settings, paths: tuple[Path, ...]) -> RunbookSet:
    """Return what files and folders hold, and what is wrong with them; no path = what is in force.

    Raises:
        ConfigurationError: a path does not exist.
    """
    if not paths:
        return in_force(settings)
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise ConfigurationError(f"{missing[0]}: no such file or folder; name a runbook or a folder of them")
    sets = [RunbookFolder(path, kinds_of()).read() for path in paths]
    return RunbookSet(
        tuple(runbook for each in sets for runbook in each.runbooks), tuple(fault for each in sets for fault in each.faults)
    )


def explained(settings: Settings, incident_id: str, now: datetime) -> Explanation:
    """Return which runbooks fit an incident with its newest analysis; one that is over as of its end, any other as of `now`.

    Raises:
        ContractError: no incident, or several, are named so.
    """
    with IncidentStore.open(settings.incident_store_url, settings.tenant) as store:
        case = store.case(incident_id)
    at = case.incident.updated_at if case.incident.state in _OVER else now
    facts = match_facts(IncidentView(case.incident, case.report, at))
    lines = tuple(_match_line(match) for match in matches(in_force(settings).runbooks, facts))
    return Explanation(case.incident.incident_id, at, lines)


def shadow(settings: Settings, names: tuple[str, ...], incident_filter: IncidentFilter) -> ShadowReport:
    """Return what runbooks would have done in past incidents; no name = all that are in force.

    Raises:
        ConfigurationError: there is no runbook of a name.
    """
    runbooks = [named(settings, name) for name in names] if names else list(in_force(settings).runbooks)
    with IncidentStore.open(settings.incident_store_url, settings.tenant) as store:
        past = tuple(_past(store, incident_filter))
    return replayed(runbooks, past)


def tested(settings: Settings, names: tuple[str, ...]) -> tuple[TriedRunbook, ...]:
    """Return what comes of the tests that runbooks bring, on fakes; no name = of all that are in force.

    Raises:
        ConfigurationError: there is no runbook of a name.
    """
    from serving.automation.trial.runbook_trial import tried
    from serving.automation.trial.trial_kinds import trial_kinds

    runbooks = [named(settings, name) for name in names] if names else list(in_force(settings).runbooks)
    kinds = trial_kinds()
    results = [tuple(tried(runbook, test, kinds) for test in runbook.runbook.tests) for runbook in runbooks]
    return tuple(
        TriedRunbook(runbook.name, runbook.version, all(result.passed for result in own), own)
        for runbook, own in zip(runbooks, results, strict=True)
    )


def _past(store: IncidentStore, incident_filter: IncidentFilter) -> Iterator[PastIncident]:
    """Yield incidents that were explained, the last opened first; those that went on in another are left out."""
    said = store.verdicts()
    for incident in _incidents(store, incident_filter):
        reports = () if incident.merged_into else store.reports(incident.incident_id)
        if reports:
            own = tuple(verdict for verdict in said if verdict.incident_id == incident.incident_id)
            yield PastIncident(incident, reports, own)


def _incidents(store: IncidentStore, incident_filter: IncidentFilter) -> Iterator[Incident]:
    cursor = ""
    while True:
        page = store.incidents(incident_filter, PageRequest(MOST_ITEMS, cursor))
        yield from page.items
        cursor = page.next_cursor
        if not cursor:
            return


def _line(runbook: VersionedRunbook, active: bool) -> RunbookLine:
    content = runbook.runbook
    actions = tuple(step.action for step in content.steps)
    return RunbookLine(runbook.name, runbook.version, content.title, content.target.service, actions, runbook.source, active)


def _match_line(match: RunbookMatch) -> MatchLine:
    because = tuple(part.sentence for part in match.failed)
    return MatchLine(match.runbook.name, match.runbook.version, match.fits, match.service, because)
