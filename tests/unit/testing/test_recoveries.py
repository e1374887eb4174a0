"""How long it takes from a kill to the next commit."""

from tests.testing.kills import Recoveries


def test_a_kill_is_recovered_from_when_more_points_are_committed() -> None:
    recoveries = Recoveries()
    recoveries.see(100, 0.5)
    recoveries.killed("consumer", 100, 1.0)
    recoveries.see(0, 1.5)  # the broker does not answer
    recoveries.see(100, 2.0)
    recoveries.killed("broker", 100, 2.5)
    recoveries.see(101, 4.0)
    recoveries.see(500, 9.0)
    assert recoveries.seconds == {"consumer": [3.0], "broker": [1.5]}
    recoveries.killed("consumer", 500, 10.0)
    recoveries.see(600, 11.0)
    recoveries.killed("consumer", 600, 12.0)
    assert recoveries.figures() == {
        "broker": {"recoveries": 1, "median_s": 1.5, "most_s": 1.5},
        "consumer": {"recoveries": 2, "median_s": 2.0, "most_s": 3.0},
    }
