"""Texts as two plain arrays and back, and arrays of parts under names with a prefix: how states of signals are kept."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from aiops.types import IntArray, State

Bytes = npt.NDArray[np.uint8]


def packed_texts(texts: Sequence[str]) -> tuple[Bytes, IntArray]:
    """Return the UTF-8 bytes of n texts, and where each begins and ends (n + 1,)."""
    encoded = [text.encode() for text in texts]
    return np.frombuffer(b"".join(encoded), np.uint8).copy(), np.cumsum([0, *(len(text) for text in encoded)], dtype=np.int64)


def unpacked_texts(data: "npt.NDArray[Any]", offsets: "npt.NDArray[Any]") -> list[str]:
    """Return the texts of `packed_texts`."""
    whole, bounds = data.astype(np.uint8).tobytes(), offsets.tolist()
    return [whole[start:end].decode() for start, end in pairwise(bounds)]


def joined(parts: Mapping[str, State]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of all parts, each named `part.array`."""
    return {f"{part}.{name}": array for part, state in parts.items() for name, array in state.items()}


def part_of(state: State, part: str) -> State:
    """Return the arrays of one part."""
    beginning = f"{part}."
    return {name.removeprefix(beginning): array for name, array in state.items() if name.startswith(beginning)}
