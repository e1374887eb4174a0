"""Pages that stay complete while rows are added: a cursor names the last row by keys that never change."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from sqlalchemy import Column, Row, Select, tuple_

from aiops.errors import ContractError
from serving.incidents.store.records import Page, PageRequest
from serving.incidents.store.tenant_connection import TenantConnection

Item = TypeVar("Item")
Keys = Sequence[Column[Any]]
_Key = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


def page_of(
    connection: TenantConnection, statement: Select[Any], keys: Keys, request: PageRequest, item: Callable[[Row[Any]], Item]
) -> Page[Item]:
    """Return one page of a query, the greatest keys first; `keys` must be unique together (of a tenant) and be among its columns.

    Raises:
        ContractError: the cursor is not one that a page gave.
    """
    if request.cursor:
        after = _position(request.cursor, keys)
        statement = statement.where(keys[0] < after[0] if len(keys) == 1 else tuple_(*keys) < tuple_(*after))
    rows = connection.execute(statement.order_by(*(key.desc() for key in keys)).limit(request.limit + 1)).all()
    shown = rows[: request.limit]
    more = len(rows) > request.limit
    return Page(tuple(item(row) for row in shown), _cursor(shown[-1], keys) if more else "")


def _cursor(row: Row[Any], keys: Keys) -> str:
    text = msgspec.json.encode([row._mapping[key] for key in keys])
    return urlsafe_b64encode(text).decode().rstrip("=")


def _position(cursor: str, keys: Keys) -> tuple[int | str, ...]:
    kinds = [key.type.python_type for key in keys]
    try:
        position = msgspec.json.decode(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list[_Key | str])
    except (ValueError, msgspec.MsgspecError):
        position = []
    if [type(part) for part in position] != kinds or any("\0" in part for part in position if isinstance(part, str)):
        raise ContractError(f"cursor={cursor!r} is not one that a page of this list gave; pass next_cursor as it came, or none")
    return tuple(position)
