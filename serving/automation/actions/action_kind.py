"""What every kind of action says of itself, and the half that reads as far as it is the same for all."""

from typing import Generic, Protocol, TypeVar

from aiops.automation.action import Risk


class ActionKind(Protocol):
    """One kind of action."""

    @property
    def kind(self) -> str:
        """Name in runbooks."""
        ...

    @property
    def risk(self) -> Risk:
        """Least risk of any step."""
        ...


Kind = TypeVar("Kind", bound=ActionKind)


class KindPlanner(Generic[Kind]):
    """A planner that says of itself what its kind does."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    @property
    def kind(self) -> str:
        """Return the name in runbooks."""
        return self._kind.kind

    @property
    def risk(self) -> Risk:
        """Return the least risk of any step."""
        return self._kind.risk
