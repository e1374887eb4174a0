"""Which member is to own which partition: evenly, and with as few moves as that takes. Everybody computes the same."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence


def assign(members: Sequence[str], owners: Mapping[int, str], eligible: Mapping[int, Collection[str]]) -> dict[int, str]:
    """Return the owner of each partition of `eligible`; those that no member may own are left out.

    Owners stay where that keeps loads within one of each other. `owners`: who owns what now; one who is no member counts as none.
    `eligible`: who may own each partition. A pure function: any order of `members` gives the same. O(partitions² · members).

    >>> assign(["a", "b"], {0: "a", 1: "a", 2: "a"}, {number: ["a", "b"] for number in range(4)})
    {0: 'a', 1: 'a', 2: 'b', 3: 'b'}
    """
    allowed = {number: sorted(set(names) & set(members)) for number, names in eligible.items()}
    placed = {number: owners[number] for number, names in allowed.items() if owners.get(number) in names}
    load = Counter(dict.fromkeys(members, 0))
    load.update(placed.values())
    for number in sorted(number for number, names in allowed.items() if names and number not in placed):
        placed[number] = min(allowed[number], key=lambda name: (load[name], name))
        load[placed[number]] += 1
    while (moved := _to_move(placed, allowed, load)) is not None:
        load[placed[moved]] -= 1
        placed[moved] = min(allowed[moved], key=lambda name: (load[name], name))
        load[placed[moved]] += 1
    return dict(sorted(placed.items()))


def _to_move(placed: Mapping[int, str], allowed: Mapping[int, Sequence[str]], load: Mapping[str, int]) -> int | None:
    """Return the partition whose move evens the loads most, None where no move brings two members nearer to each other."""
    gains = {number: load[name] - min(load[other] for other in allowed[number]) for number, name in placed.items()}
    best = max(gains, key=lambda number: (gains[number], load[placed[number]], placed[number], number), default=None)
    return best if best is not None and gains[best] > 1 else None
