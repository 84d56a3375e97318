import time
from collections.abc import Iterator

import pytest

from restorekit.training.stopping import Clock


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time, in seconds, to be set by the test."""
    seconds = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    return seconds


def test_clock_counts_from_when_it_was_made(now: list[float]) -> None:
    clock = Clock(2.0)
    now[0] += 30
    assert (clock.seconds, clock.seconds_left) == (30, 90)
    assert Clock().seconds_left == float("inf")


def test_clock_leaves_time_for_the_next_step_and_three_checkpoints(now: list[float]) -> None:
    clock = Clock(1.0)
    for seconds in (20.0, 2.0, 2.0, 2.0, 2.0):  # the first one compiled
        clock.learn("step", seconds)
    clock.learn("checkpoint", 4.0)
    now[0] += 60 - 15  # 1.5 * 2 + 3 * 4
    assert clock.has_time_for(steps=1)
    now[0] += 0.5
    assert not clock.has_time_for(steps=1)
    assert clock.has_time_for()


def test_clock_asks_for_the_time_of_the_last_validation(now: list[float]) -> None:
    clock = Clock(1.0)
    assert clock.has_time_for(validations=1)
    clock.learn("validation", 50.0)
    assert not clock.has_time_for(validations=1)


def test_clock_tells_the_pace_without_the_slow_first_step(now: list[float]) -> None:
    clock = Clock()
    now[0] += 30
    assert clock.pace(1) == 30
    now[0] += 8
    assert clock.pace(5) == 2
