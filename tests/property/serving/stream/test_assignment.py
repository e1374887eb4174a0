"""Partitions to members: everybody computes the same, loads are even, and no more moves than that takes."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from serving.stream.ownership.assignment import assign

NAMES = st.sampled_from("abcdefg")
MEMBERS = st.lists(NAMES, unique=True, min_size=1)
OWNERS = st.dictionaries(st.integers(0, 15), NAMES)


@given(MEMBERS, OWNERS, st.integers(0, 16))
def test_loads_are_within_one_and_every_partition_has_an_owner(
    members: list[str], owners: dict[int, str], partitions: int
) -> None:
    owned = assign(members, owners, dict.fromkeys(range(partitions), members))
    assert owned.keys() == set(range(partitions))
    load = Counter(dict.fromkeys(members, 0))
    load.update(owned.values())
    assert max(load.values()) - min(load.values()) <= 1


@given(MEMBERS, OWNERS, st.integers(0, 16))
def test_the_order_of_members_is_no_matter(members: list[str], owners: dict[int, str], partitions: int) -> None:
    eligible = dict.fromkeys(range(partitions), members)
    assert assign(members, owners, eligible) == assign(members[::-1], owners, eligible)


@given(MEMBERS, OWNERS, st.integers(0, 16))
def test_what_is_assigned_stays(members: list[str], owners: dict[int, str], partitions: int) -> None:
    eligible = dict.fromkeys(range(partitions), members)
    owned = assign(members, owners, eligible)
    assert assign(members, owned, eligible) == owned


@given(MEMBERS, OWNERS, st.integers(1, 16))
def test_a_living_owner_loses_only_what_is_above_its_share(members: list[str], owners: dict[int, str], partitions: int) -> None:
    held = {number: name for number, name in owners.items() if name in members and number < partitions}
    owned = assign(members, held, dict.fromkeys(range(partitions), members))
    for name in members:
        before = {number for number, owner in held.items() if owner == name}
        lost = {number for number in before if owned[number] != name}
        assert len(lost) <= max(0, len(before) - partitions // len(members))


@given(MEMBERS, OWNERS, st.lists(st.sets(NAMES), max_size=16))
def test_nobody_gets_what_is_not_for_it(members: list[str], owners: dict[int, str], allowed: list[set[str]]) -> None:
    eligible = dict(enumerate(allowed))
    owned = assign(members, owners, eligible)
    assert all(name in eligible[number] and name in members for number, name in owned.items())
    assert owned.keys() == {number for number, names in eligible.items() if names & set(members)}
