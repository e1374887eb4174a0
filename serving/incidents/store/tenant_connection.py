"""One transaction of one tenant: each row that it writes is the tenant's, each query must say that it asks for the tenant's.

A query that does not is a mistake of the program and never reaches the database.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import (
    Alias,
    BinaryExpression,
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    CursorResult,
    Delete,
    FromClause,
    Row,
    Select,
    Table,
    Update,
    insert,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BooleanClauseList, Grouping

from data_contracts.series.tenant import checked_tenant

TENANT: Final = "tenant"
Statement = Select[Any] | Update | Delete


class UnboundQuery(RuntimeError):
    """A statement would touch rows of every tenant: a mistake of the program."""


class TenantConnection:
    """A connection in a transaction, for the rows of one tenant. Not thread-safe.

    Raises:
        TenantError: the tenant breaks the rule; an empty one is a query without a tenant.
    """

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection = connection
        self.tenant: Final = checked_tenant(tenant)

    def own(self, table: FromClause) -> ColumnElement[bool]:
        """Return the condition that a row of a table, or an alias of one, is the tenant's."""
        owned: ColumnElement[bool] = table.c[TENANT] == self.tenant
        return owned

    def execute(self, statement: Statement, rows: Sequence[dict[str, Any]] | None = None) -> CursorResult[Any]:
        """Run a statement in which each table is limited to the tenant's rows (`own`). O(size of the statement) to check.

        Raises:
            UnboundQuery: a table is not.
        """
        self._check(statement)
        return self._connection.execute(statement, rows) if rows is not None else self._connection.execute(statement)

    def first(self, statement: Select[Any]) -> Row[Any] | None:
        """Return the first row, None where there is none."""
        return self.execute(statement).first()

    def insert(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows of the tenant."""
        if rows:
            self._connection.execute(insert(table), self._owned(rows))

    def upsert(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows of the tenant; those with the same key are replaced."""
        if not rows:
            return
        keys = [column.name for column in table.primary_key.columns]
        statement = self._insert(table)
        changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
        self._connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), self._owned(rows))

    def insert_missing(self, table: Table, row: dict[str, Any]) -> None:
        """Add a row of the tenant unless there is one with the same key."""
        self._connection.execute(self._insert(table).on_conflict_do_nothing(), self._owned([row]))

    def _insert(self, table: Table) -> Any:
        dialect = sqlite if self._connection.dialect.name == "sqlite" else postgresql
        return dialect.insert(table)

    def _owned(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{TENANT: self.tenant, **row} for row in rows]

    def _check(self, statement: Statement) -> None:
        outer = set(self._owners(statement))
        waiting: list[Statement] = [statement]
        while waiting:
            part = waiting.pop()
            tables, inner = _parts(part)
            lacking = tables - outer - set(self._owners(part))
            if lacking:
                names = ", ".join(sorted(map(str, lacking)))
                raise UnboundQuery(f"{names}: the query is not limited to one tenant; add own(table): {statement}")
            waiting += inner

    def _owners(self, statement: Statement) -> Iterator[FromClause]:
        """Yield the tables whose rows a statement limits to the tenant's."""
        for condition in _conditions(statement.whereclause):
            if not (isinstance(condition, BinaryExpression) and condition.operator is operators.eq):
                continue
            column, value = condition.left, condition.right
            named = isinstance(column, Column) and column.name == TENANT
            if named and isinstance(value, BindParameter) and value.value == self.tenant:
                yield column.table


def _parts(statement: Statement) -> tuple[set[FromClause], list[Statement]]:
    """Return the tables that a statement names itself, and the queries within it."""
    tables: set[FromClause] = set()
    inner: list[Statement] = []
    waiting = list(statement.get_children())
    if not isinstance(statement, Select):
        tables.add(statement.table)
    while waiting:
        element = waiting.pop()
        if isinstance(element, Select):
            inner.append(element)
        elif isinstance(element, Table | Alias):
            tables.add(element)
        elif isinstance(element, Column):
            if element.table is not None:
                tables.add(element.table)
        else:
            waiting += element.get_children()
    return tables, inner


def _conditions(clause: object) -> Iterator[ColumnElement[Any]]:
    """Yield the conditions that all must hold."""
    if isinstance(clause, Grouping):
        yield from _conditions(clause.element)
    elif isinstance(clause, BooleanClauseList) and clause.operator is operators.and_:
        for part in clause.clauses:
            yield from _conditions(part)
    elif isinstance(clause, ColumnElement):
        yield clause
