"""Decoders read what protobuf's own parser reads, in whatever legal form a sender writes it; both refuse damaged bodies."""

import random
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.ingest.receive.wire.column_buffers import GrowingBuffers
from serving.ingest.receive.wire.decoded import MalformedBody, SeriesDescription
from serving.ingest.receive.wire.wire_fields import FAULTS, GROUP
from tests.testing.wire_bodies import REQUESTS, damaged, shuffled
from tests.testing.wire_reference import DECODERS, READERS, reading_of

FORMATS = pytest.mark.parametrize("form", sorted(REQUESTS))


@cache
def decoder(form: str) -> Any:
    return DECODERS[form](11)


@FORMATS
@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_decoder_reads_what_protobuf_reads(form: str, seed: int) -> None:
    rng = random.Random(seed)
    request = REQUESTS[form](rng)
    assert reading_of(decoder(form).decode(shuffled(request, rng))) == READERS[form](request)


@FORMATS
@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_damaged_bodies_are_read_as_protobuf_reads_them_or_refused(form: str, seed: int) -> None:
    """Where protobuf reads a body, the decoder reads the same; where it does not, the decoder may, for it reads text later."""
    rng = random.Random(seed)
    request = REQUESTS[form](rng)
    body = damaged(shuffled(request, rng), rng)
    try:
        read = type(request).FromString(body)
    except DecodeError:
        read = None
    try:
        decoded = decoder(form).decode(body)
    except MalformedBody as fault:
        refused = fault.rule
    else:
        refused = ""
        held = reading_of(decoded)
        assert read is None or held == READERS[form](read)
    assert read is None or refused in {"", FAULTS[GROUP]}


@FORMATS
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_small_buffers_grow(form: str, seed: int) -> None:
    rng = random.Random(seed)
    body = shuffled(REQUESTS[form](rng), rng)
    small = DECODERS[form](11, GrowingBuffers(1))
    assert reading_of(small.decode(body)) == reading_of(decoder(form).decode(body))


def hashes(form: str, body: bytes, seed: int = 11) -> dict[Any, set[int]]:
    """Return the hashes that each description has."""
    decoded = decoder(form).decode(body) if seed == 11 else DECODERS[form](seed).decode(body)
    known: dict[Any, set[int]] = {}
    for described, number in zip(decoded.describe(np.arange(len(decoded.series))), decoded.series.hash.tolist(), strict=True):
        known.setdefault(replace(described, help="") if isinstance(described, SeriesDescription) else None, set()).add(number)
    known.pop(None, None)
    return known


@FORMATS
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_two_descriptions_have_two_hashes(form: str, seed: int) -> None:
    rng = random.Random(seed)
    known: dict[Any, set[int]] = {}
    for _ in range(6):
        for described, numbers in hashes(form, REQUESTS[form](rng).SerializeToString()).items():
            known.setdefault(described, set()).update(numbers)
    numbers = [number for held in known.values() for number in held]
    assert len(numbers) == len(set(numbers))


@FORMATS
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_form_of_a_body_changes_no_hash_but_the_seed_does(form: str, seed: int) -> None:
    rng = random.Random(seed)
    request = REQUESTS[form](rng)
    plain = decoder(form).decode(request.SerializeToString()).series.hash
    other = decoder(form).decode(shuffled(request, rng)).series.hash
    faulty = decoder(form).decode(request.SerializeToString()).faults.series
    kept = ~np.isin(np.arange(len(plain)), faulty)
    if form != "otlp":
        assert (plain[kept] == other[kept]).all()
    assert not (plain == DECODERS[form](12).decode(request.SerializeToString()).series.hash).any()
