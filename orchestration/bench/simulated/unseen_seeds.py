"""Which seeds of the simulator are scored: none that weights were fitted to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiops.errors import ConfigurationError

FIRST_SEED: Final = 1001


@dataclass(frozen=True, slots=True)
class UnseenSeeds:
    """`seeds` seeds from `first_seed` on are scored, all beyond `fit_seeds`; `refit` fits the weights again and scores those.

    Raises:
        ConfigurationError: the first one lies among the fit seeds.
    """

    fit_seeds: Sequence[int]
    seeds: int
    first_seed: int = FIRST_SEED
    refit: bool = False

    def __post_init__(self) -> None:
        last = self.fit_seeds[-1]
        if self.first_seed <= last:
            raise ConfigurationError(f"first_seed={self.first_seed}: seeds 1 to {last} are fitted to; give a greater one")
