"""Changes of what requests do: seen at once, not learnt, adopted when they stay; the same after a restart."""

from typing import Any

import numpy as np
import pytest

from aiops.errors import ContractError, OutdatedState, StateError
from aiops.signals.request_changes import RequestChanges, RequestChangesConfig
from aiops.signals.requests import Pattern, Requests
from aiops.signals.span_rows import SpanNames

ORDER = (Pattern("order", "read", "checked"), Pattern("order", "read", "failed"), Pattern("call", "stock", ""))


def requests(shown: list[int], service: str = "cart") -> Requests:
    """Return requests of one operation, each showing one of `ORDER`."""
    names, count = SpanNames(), len(shown)
    code, operation = names.services.code(service), names.operations.code("GET /cart")
    blank = np.full(count, np.nan)
    return Requests(
        np.full(count, code, np.int64),
        np.full(count, operation, np.int64),
        np.full(count, -1, np.int64),
        np.arange(count, dtype=np.int64),
        blank,
        blank,
        np.arange(count, dtype=np.int64),
        np.array(shown, np.int64),
        ORDER,
        names,
        0,
    )


CALM, BROKEN = [0] * 40, [1] * 40


def ratios(minutes: list[list[int]], changes: RequestChanges) -> list[float]:
    return [
        max(changes.observe(number, requests(shown))["value"].to_pylist(), default=0.0) for number, shown in enumerate(minutes)
    ]


def test_another_order_of_lines_is_a_change_and_says_which() -> None:
    changes = RequestChanges()
    *calm, _, broken = ratios([*[CALM] * 10, BROKEN, BROKEN], changes)
    assert max(calm) < 1.0 <= broken
    strongest = changes.strongest("cart")
    assert strongest is not None
    assert strongest.pattern.operation == "GET /cart"
    assert abs(strongest.share_now - strongest.share_then) >= 0.5
    assert changes.strongest("nobody") is None


def test_what_wanders_from_minute_to_minute_is_no_change() -> None:
    rng = np.random.default_rng(1)
    minutes = [(rng.random(30) < share).astype(int).tolist() for share in rng.uniform(0.2, 0.8, 60)]
    assert max(ratios(minutes, RequestChanges())) < 1.0


def test_a_fault_that_comes_again_is_as_strange_as_the_first_time() -> None:
    values = ratios([*[CALM] * 8, *[BROKEN] * 3, *[CALM] * 8, *[BROKEN] * 3], RequestChanges())
    assert max(values[19:22]) >= 1.0


def test_a_change_that_stays_is_adopted() -> None:
    changes = RequestChanges(RequestChangesConfig(adopted_minutes=5, reference_minutes=8))
    values = ratios([*[CALM] * 8, *[BROKEN] * 20], changes)
    assert values[9] >= 1.0 > values[-1]


def test_only_kinds_that_are_looked_at_count() -> None:
    changes = RequestChanges(RequestChangesConfig(kinds=("call",)))
    assert max(ratios([*[CALM] * 10, BROKEN], changes)) == 0.0
    changes = RequestChanges(RequestChangesConfig(kinds=("call",)))
    assert ratios([*[[2] * 40] * 10, BROKEN, BROKEN], changes)[-1] >= 1.0


@pytest.mark.parametrize("cut", [1, 6, 9, 10, 12])
def test_restarted_anywhere_it_says_the_same(cut: int) -> None:
    minutes = [*[CALM] * 8, *[BROKEN] * 3, *[CALM] * 3]
    whole = ratios(minutes, RequestChanges())
    changes = RequestChanges()
    first = [
        max(changes.observe(number, requests(shown))["value"].to_pylist(), default=0.0)
        for number, shown in enumerate(minutes[:cut])
    ]
    again = RequestChanges.restore(changes.config, changes.state())
    rest = [
        max(again.observe(number, requests(shown))["value"].to_pylist(), default=0.0)
        for number, shown in enumerate(minutes)
        if number >= cut
    ]
    assert first + rest == whole


def test_templates_that_were_merged_go_on_under_their_new_name() -> None:
    changes = RequestChanges()
    ratios([CALM] * 10, changes)
    changes.rename({"checked": "failed"})
    assert max(changes.observe(10, requests(BROKEN))["value"].to_pylist()) < 1.0


def test_bad_input_is_refused() -> None:
    changes = RequestChanges()
    changes.observe(5, requests(CALM))
    with pytest.raises(ContractError, match="ascending"):
        changes.observe(5, requests(CALM))
    with pytest.raises(ContractError):
        RequestChangesConfig(window_minutes=0)
    with pytest.raises(ContractError):
        RequestChangesConfig(false_per_hour=0.0)


def test_damaged_and_old_states_are_refused() -> None:
    changes = RequestChanges()
    changes.observe(5, requests(CALM))
    state: dict[str, Any] = dict(changes.state())
    with pytest.raises(StateError, match="damaged"):
        RequestChanges.restore(changes.config, state | {"numbers": state["numbers"][:4]})
    with pytest.raises(OutdatedState, match="version 99"):
        RequestChanges.restore(changes.config, state | {"version": np.array([99])})
