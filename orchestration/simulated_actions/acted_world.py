"""A simulated application that is acted on: the simulation as it has become, and the time that it is."""

import threading
from collections.abc import Callable
from datetime import datetime

from aiops.errors import ContractError, StepRefused
from aiops.simulator.simulate import Simulation
from aiops.simulator.simulated_action import SimulatedAction, SimulatedActionKind, Standing

Expectation = Callable[[Standing], bool]
"""Says whether a service stands as is expected."""


class ActedWorld:
    """Thread-safe. Each action makes another simulation of it; what was before the action stays as it was."""

    def __init__(self, simulation: Simulation, now: Callable[[], datetime]) -> None:
        self._simulation = simulation
        self._now = now
        self._lock = threading.Lock()

    @property
    def simulation(self) -> Simulation:
        """Return the simulation with all that was done so far."""
        with self._lock:
            return self._simulation

    def standing(self, service: str) -> Standing:
        """Return how a service stands now.

        Raises:
            ContractError: there is no such service.
        """
        simulation = self.simulation
        if service not in simulation.services:
            known = ", ".join(simulation.services)
            raise ContractError(f"service={service!r} does not exist in the simulation; use one of {known}")
        return simulation.standing(service, self._now())

    def act(self, service: str, kind: SimulatedActionKind, amount: float, expected: Expectation) -> None:
        """Act now, where the service stands as expected: both in one.

        Raises:
            StepRefused: it does not stand so any more; nothing was changed.
        """
        with self._lock:
            at = self._now()
            now = self._simulation.standing(service, at)
            if not expected(now):
                raise StepRefused(f"{service} stands otherwise by now ({now}): somebody else has changed it; make a new plan")
            self._simulation = self._simulation.after([SimulatedAction(at, service, kind, amount)])
