"""When work is done that grows with the series, states saved for one: every so often, less often where it takes long, at once."""

from serving.stream.consumer.work_pace import WorkPace


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_small_states_are_saved_every_so_often() -> None:
    watch = Watch()
    clock = WorkPace(10.0, watch)
    watch.now_s += 9.9
    assert not clock.is_due()
    watch.now_s += 0.2
    assert clock.is_due()
    clock.begins()
    watch.now_s += 0.3
    clock.ended()
    assert not clock.is_due()
    watch.now_s += 9.8
    assert clock.is_due()


def test_large_states_are_saved_in_a_tenth_of_the_time_unless_streams_are_full() -> None:
    watch = Watch()
    clock = WorkPace(10.0, watch)
    clock.begins()
    watch.now_s += 4.0
    clock.ended()
    watch.now_s += 35.0
    assert not clock.is_due()
    clock.hurry()
    assert clock.is_due()
    clock.begins()
    watch.now_s += 4.0
    clock.ended()
    assert not clock.is_due()
    watch.now_s += 36.1
    assert clock.is_due()


def test_what_is_being_saved_is_not_saved_again_and_a_hurry_waits_for_it() -> None:
    watch = Watch()
    clock = WorkPace(10.0, watch)
    clock.begins()
    for _ in range(6):
        watch.now_s += 10.0
        clock.hurry()
        assert not clock.is_due()
    clock.ended()
    assert clock.is_due()
    clock.begins()
    watch.now_s += 60.0
    clock.ended()
    watch.now_s += 530.0
    assert not clock.is_due()
    watch.now_s += 11.0
    assert clock.is_due()
