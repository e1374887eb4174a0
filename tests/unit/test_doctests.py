"""Every example in a docstring of the rooms gives what it says."""

import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

import aiops
import data_contracts
import models
import orchestration
import serving

ROOMS = (data_contracts, aiops, models, serving, orchestration)
PROGRAMS = ("__main__",)
"""Modules that run when imported."""


def names(room: ModuleType) -> Iterator[str]:
    for found in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        if found.name.rpartition(".")[2] not in PROGRAMS and "_pb2" not in found.name:
            yield found.name


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.__name__))
def test_examples_in_docstrings_are_true(room: ModuleType) -> None:
    attempted = 0
    for name in names(room):
        outcome = doctest.testmod(importlib.import_module(name))
        assert outcome.failed == 0, name
        attempted += outcome.attempted
    assert attempted > 0
