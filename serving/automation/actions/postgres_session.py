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
_IDLE: Final = """
SELECT pid, extract(epoch FROM backend_start)::text, coalesce(application_name, ''), coalesce(usename, '')
FROM pg_stat_activity
WHERE state = 'idle in transaction' AND clock_timestamp() - state_change >= make_interval(secs => %s)
      AND pid <> pg_backend_pid() AND backend_type = 'client backend'
ORDER BY xact_start, pid LIMIT 1
"""
_BEGAN: Final = "SELECT extract(epoch FROM backend_start)::text FROM pg_stat_activity WHERE pid = %s"
_END: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND extract(epoch FROM backend_start)::text = %s"
)
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
        """Return which session is meant and when it began; a process id that was given names the session, alive or gone.

        Raises:
            ContractError: no session is idle in a transaction for so long.
            Unavailable: the server does not answer.
        """
        parameters = parsed(KillSessionParameters, request)
        with connected(self._secrets, parameters.dsn, parameters.server) as cursor:
            if parameters.pid is not None:
                return _session(cursor, parameters.pid)
            cursor.execute(_IDLE, (parameters.idle_s,))
            row = cursor.fetchone()
        if row is None:
            raise ContractError(f"postgres {parameters.server}: no session is idle in a transaction for {parameters.idle_s} s")
        return {"pid": row[0], "began": row[1], "program": row[2], "user": row[3]}

    def change(self, request: ActionRequest) -> StateChange:
        """Return that the session is gone."""
        parameters = parsed(KillSessionParameters, request)
        before = self.read(request)
        if before["began"] == _GONE:
            raise ContractError(f"postgres {parameters.server}: there is no session with pid={before['pid']}")
        who = f"session {before['pid']} of {before.get('user') or '?'} ({before.get('program') or 'no program name'})"
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
        """End the session, if it is the one that was seen and no later one with its process id.

        Raises:
            StepRefused: it is gone already, or it is another one.
            Unavailable: the server does not answer.
        """
        parameters = parsed(KillSessionParameters, request_of(step))
        with connected(self._secrets, parameters.dsn, parameters.server) as cursor:
            cursor.execute(_END, (step.before["pid"], step.before["began"]))
            row = cursor.fetchone()
        if row is None or not row[0]:
            raise StepRefused(f"{step.target}: is gone, or its process id belongs to another session by now; make a new plan")

    def outcome(self, step: PlannedStep, now: PlainMapping) -> Outcome:
        """Compare by process id and beginning: a later session with its process id means that it is gone."""
        return Outcome.OLD if now["began"] == step.before["began"] else Outcome.NEW


def _session(cursor: Any, pid: int) -> PlainMapping:
    cursor.execute(_BEGAN, (pid,))
    row = cursor.fetchone()
    return {"pid": pid, "began": _GONE if row is None else row[0]}
