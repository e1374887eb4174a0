"""Ends a PostgreSQL session, such as one that holds a lock idle in its transaction. What it has not committed is lost."""

from typing import Annotated, Any, Final

from pydantic import Field

from aiops.automation.action import ActionRequest, Outcome, PlainMapping, PlannedStep, Risk
from aiops.errors import ContractError, StepRefused
from serving.automation.actions.action_parameters import Parameters, parsed
from serving.automation.actions.postgres_setting import connected
from serving.automation.actions.secret_references import SecretReference, Secrets
from serving.automation.actions.state_action import StateChange, request_of

KIND: Final = "postgres.kill_session"
_SESSION: Final = """
SELECT pid, extract(epoch FROM backend_start)::text, coalesce(extract(epoch FROM xact_start)::text, ''),
       coalesce(application_name, ''), coalesce(usename, '')
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_IS_IDLE: Final = "AND state LIKE 'idle in transaction%%' AND clock_timestamp() - state_change >= make_interval(secs => %s)"
_IDLE: Final = f"{_SESSION} {_IS_IDLE} AND pid = coalesce(%s, pid) ORDER BY xact_start, pid LIMIT 1"
_OF_PID: Final = f"{_SESSION} AND pid = %s"
_END: Final = f"""
SELECT pg_terminate_backend(pid) FROM ({_OF_PID} {_IS_IDLE}) AS seen(pid, began, transaction)
WHERE began = %s AND transaction = %s
"""
_GONE: Final = "gone"


class KillSessionParameters(Parameters):
    """The session that is idle in a transaction for longest, for `idle_s` seconds at least; or that of process id `pid`."""

    dsn: SecretReference
    server: Annotated[str, Field(min_length=1, max_length=200)]
    idle_s: Annotated[int, Field(ge=10, le=86_400)] = 300
    pid: Annotated[int, Field(ge=1)] | None = None


class PostgresKillSession:
    """Ends one session; it cannot be undone."""

    kind = KIND
    parameters = KillSessionParameters
    risk = Risk.DESTRUCTIVE

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def read(self, request: ActionRequest) -> PlainMapping:
        """Return the session that is meant, when it and its transaction began; one named by its process id may be gone.

        Raises:
            ContractError: no session is idle in a transaction for so long.
            Unavailable: the server does not answer.
        """
        parameters = parsed(KillSessionParameters, request)
        if parameters.pid is None:
            return self._idle(parameters)
        with connected(self._secrets, parameters.dsn, parameters.server) as cursor:
            cursor.execute(_OF_PID, (parameters.pid,))
            row = cursor.fetchone()
        return {"pid": parameters.pid, "began": _GONE} if row is None else _session(row)

    def change(self, request: ActionRequest) -> StateChange:
        """Return that the session is gone."""
        parameters = parsed(KillSessionParameters, request)
        before = self._idle(parameters)
        who = f"session {before['pid']} of {before['user'] or '?'} ({before['program'] or 'no program name'})"
        return StateChange(
            target=f"postgres {parameters.server} session {before['pid']}",
            parameters={**request.parameters, "pid": before["pid"]},
            before=before,
            after={"pid": before["pid"], "began": _GONE},
            difference=f"{who}, idle in its transaction for {parameters.idle_s} s or more → ended",
            effect="its locks are free; what it has not committed is lost",
            risk=Risk.DESTRUCTIVE,
        )

    def swap(self, step: PlannedStep, into: PlainMapping, key: str) -> None:
        """End the session, if it is still idle in the transaction that was seen.

        Raises:
            StepRefused: it is gone, went on, or its process id belongs to another one.
            Unavailable: the server does not answer.
        """
        parameters = parsed(KillSessionParameters, request_of(step))
        seen = (step.before["pid"], parameters.idle_s, step.before["began"], step.before["transaction"])
        with connected(self._secrets, parameters.dsn, parameters.server) as cursor:
            cursor.execute(_END, seen)
            row = cursor.fetchone()
        if row is None or not row[0]:
            raise StepRefused(f"{step.target}: is gone, has gone on with its work, or is another one by now; make a new plan")

    def outcome(self, step: PlannedStep, now: PlainMapping) -> Outcome:
        """Compare by process id and beginning: a later session with its process id means that it is gone."""
        if now["began"] != step.before["began"]:
            return Outcome.NEW
        return Outcome.OLD if now["transaction"] == step.before["transaction"] else Outcome.OTHER

    def _idle(self, parameters: KillSessionParameters) -> PlainMapping:
        with connected(self._secrets, parameters.dsn, parameters.server) as cursor:
            cursor.execute(_IDLE, (parameters.idle_s, parameters.pid))
            row = cursor.fetchone()
        if row is None:
            which = "no session" if parameters.pid is None else f"no session with pid={parameters.pid}"
            raise ContractError(f"postgres {parameters.server}: {which} is idle in a transaction for {parameters.idle_s} s")
        return _session(row)


def _session(row: Any) -> PlainMapping:
    return {"pid": row[0], "began": row[1], "transaction": row[2], "program": row[3], "user": row[4]}
