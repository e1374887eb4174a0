"""Settings of a PostgreSQL server (ALTER SYSTEM SET, then a reload), such as statement_timeout; undone by their inverse."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import psycopg2
import psycopg2.extensions
from psycopg2 import sql
from pydantic import Field

from aiops.automation.action import ActionRequest, PlainMapping, PlannedStep, Risk
from aiops.errors import ContractError, StepRefused, Unavailable, legible
from serving.automation.actions.action_parameters import Parameters, parsed, refuse_setting
from serving.automation.actions.secret_references import SecretReference, Secrets
from serving.automation.actions.state_action import StateChange, compared, refuse_changed, request_of

KIND: Final = "postgres.setting"
TIMEOUT_S: Final = 5
_WRITTEN: Final = """
SELECT setting FROM pg_file_settings
WHERE name = %s AND sourcefile LIKE '%%postgresql.auto.conf' ORDER BY seqno DESC LIMIT 1
"""
_LOCK: Final = 0x6169_6F70
"""Key of the advisory lock that two runners take in turn."""
ALLOWED: Final = frozenset(
    {
        *("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"),
        *("work_mem", "maintenance_work_mem", "effective_cache_size", "random_page_cost", "effective_io_concurrency"),
        *(
            "max_parallel_workers",
            "max_parallel_workers_per_gather",
            "autovacuum_vacuum_cost_limit",
            "log_min_duration_statement",
        ),
    }
)
"""Settings that take effect by a reload and neither move files nor change rights or replication."""


class PostgresSettingParameters(Parameters):
    """`dsn`: reference to a connection string, since it holds a password; `server` names it for people."""

    dsn: SecretReference
    server: Annotated[str, Field(min_length=1, max_length=200)]
    setting: str
    value: Annotated[str, Field(min_length=1, max_length=200)]


class PostgresSetting:
    """Changes one setting of a server."""

    kind = KIND
    parameters = PostgresSettingParameters
    risk = Risk.LOW
    outcome = staticmethod(compared)

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def read(self, request: ActionRequest) -> PlainMapping:
        """Return what stands in postgresql.auto.conf for the setting, "" = nothing.

        Raises:
            ContractError: the server knows no such setting, or it may not be changed.
            Unavailable: the server does not answer.
        """
        parameters = self._parameters(request)
        with connected(self._secrets, parameters.dsn, parameters.server) as cursor:
            return _written(cursor, parameters.setting)

    def change(self, request: ActionRequest) -> StateChange:
        """Return the setting with its new value."""
        parameters = self._parameters(request)
        before = self.read(request)
        return StateChange(
            target=f"postgres {parameters.server} {parameters.setting}",
            parameters=dict(request.parameters),
            before=before,
            after={"written": parameters.value},
            difference=f"{parameters.setting}: {before['written'] or 'not set'} → {parameters.value}",
            effect=f"statements go by {parameters.setting} = {parameters.value} as soon as the server has read it",
            undo=f"sets {parameters.setting} back to {before['written']}" if before["written"] else "takes the setting out again",
        )

    def swap(self, step: PlannedStep, into: PlainMapping, key: str) -> None:
        """Write the value where what is written is still as planned, and have the server read its settings again.

        Raises:
            StepRefused: it is another one by now, or the server refuses the new one.
            Unavailable: the server does not answer.
        """
        parameters = self._parameters(request_of(step))
        value, name = str(into["written"]), sql.Identifier(parameters.setting)
        statement = sql.SQL("ALTER SYSTEM SET {} = {}").format(name, sql.Literal(value))
        with connected(self._secrets, parameters.dsn, parameters.server) as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            refuse_changed(step, into, _written(cursor, parameters.setting))
            try:
                cursor.execute(statement if value else sql.SQL("ALTER SYSTEM RESET {}").format(name))
            except (psycopg2.DataError, psycopg2.ProgrammingError, psycopg2.NotSupportedError) as error:
                raise StepRefused(f"{step.target}: the server refuses {value!r}: {legible(error)}") from error
            cursor.execute("SELECT pg_reload_conf()")

    def _parameters(self, request: ActionRequest) -> PostgresSettingParameters:
        parameters = parsed(PostgresSettingParameters, request)
        refuse_setting(parameters.setting, ALLOWED)
        return parameters


@contextmanager
def connected(secrets: Secrets, dsn: str, server: str) -> Iterator[Any]:
    """Open a cursor that commits each statement by itself, and close its connection again.

    Raises:
        Unavailable: the server does not answer; its message is not shown where it could hold the address's secrets.
        ContractError: it refuses a query, for example for want of rights.
    """
    try:
        connection = psycopg2.connect(
            secrets.value(dsn).get_secret_value(),
            connect_timeout=TIMEOUT_S,
            options=f"-c statement_timeout={TIMEOUT_S}s -c lock_timeout={TIMEOUT_S}s",
        )
    except psycopg2.Error:
        raise Unavailable(f"postgres {server} does not answer; check it, and what {dsn} holds") from None
    try:
        connection.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_AUTOCOMMIT)
        with connection.cursor() as cursor:
            yield cursor
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise Unavailable(f"postgres {server}: {legible(error)}") from error
    except psycopg2.ProgrammingError as error:
        raise ContractError(f"postgres {server}: refuses: {legible(error)}; check the rights of who {dsn} names") from error
    finally:
        connection.close()


def _written(cursor: Any, setting: str) -> PlainMapping:
    cursor.execute("SELECT 1 FROM pg_settings WHERE name = %s", (setting,))
    if cursor.fetchone() is None:
        raise ContractError(f"with.setting={setting!r}: the server knows no such setting")
    cursor.execute(_WRITTEN, (setting,))
    row = cursor.fetchone()
    return {"written": "" if row is None else str(row[0])}
