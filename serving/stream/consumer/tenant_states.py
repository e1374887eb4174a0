"""States as parts of larger ones: those of tenants behind their number, with the names; others behind a prefix."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aiops.errors import StateError

TENANTS: Final = "tenants"
State = Mapping[str, npt.NDArray[Any]]


def packed_tenants(states: Mapping[str, State]) -> dict[str, npt.NDArray[Any]]:
    """Return the states by tenant as one; their order stays."""
    packed: dict[str, npt.NDArray[Any]] = {TENANTS: np.array(list(states), dtype="U")}
    for number, state in enumerate(states.values()):
        packed |= {f"{number}/{name}": array for name, array in state.items()}
    return packed


def tenant_states(packed: State) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """Return what `packed_tenants` was given.

    Raises:
        StateError: an array is of no tenant.
    """
    names = [str(name) for name in packed[TENANTS].tolist()]
    states: list[dict[str, npt.NDArray[Any]]] = [{} for _ in names]
    for name, array in packed.items():
        number, _, rest = name.partition("/")
        if number.isdecimal():
            if int(number) >= len(states):
                raise StateError(f"checkpoint names {len(states)} tenants and holds array {name}; it is damaged")
            states[int(number)][rest] = array
    return dict(zip(names, states, strict=True))


def state_part(state: State, prefix: str) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
