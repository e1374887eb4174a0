"""The breaker's three states under an injected clock."""

from serving.stream.consumer.circuit_breaker import BreakerConfig, BreakerState, CircuitBreaker
from tests.testing.clocks import SecondsClock


def opened(clock: SecondsClock, failures: int = 3) -> CircuitBreaker:
    breaker = CircuitBreaker(BreakerConfig(failures=failures, pause_s=2.0, longest_pause_s=5.0), clock)
    for _ in range(failures):
        breaker.failed()
    return breaker


def test_opens_only_after_enough_failures_in_a_row() -> None:
    breaker = CircuitBreaker(BreakerConfig(failures=2), SecondsClock())
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert breaker.state is BreakerState.CLOSED
    breaker.failed()
    assert breaker.state is BreakerState.OPEN
    assert not breaker.allows()


def test_lets_a_trial_through_after_the_pause_and_closes_on_success() -> None:
    clock = SecondsClock()
    breaker = opened(clock)
    clock.now_s += 1.9
    assert not breaker.allows()
    clock.now_s += 0.2
    assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.allows()
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED


def test_a_failed_trial_opens_at_once_for_twice_as_long_up_to_a_bound() -> None:
    clock = SecondsClock()
    breaker = opened(clock)
    for pause_s in (4.0, 5.0, 5.0):
        clock.now_s += 5.1
        assert breaker.state is BreakerState.HALF_OPEN
        breaker.failed()
        clock.now_s += pause_s - 0.01
        assert breaker.state is BreakerState.OPEN
        clock.now_s += 0.02
        assert breaker.state is BreakerState.HALF_OPEN


def test_success_forgets_the_long_pause() -> None:
    clock = SecondsClock()
    breaker = opened(clock, failures=1)
    clock.now_s += 2.1
    breaker.failed()
    clock.now_s += 4.1
    assert breaker.allows()
    breaker.succeeded()
    breaker.failed()
    clock.now_s += 2.1
    assert breaker.state is BreakerState.HALF_OPEN
