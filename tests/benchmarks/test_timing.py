"""The stopwatch of the benchmarks, by a clock that only moves when told to. No real time is measured."""

import gc

import pytest
from timing import Budget, speed_ratios, spread, time_paired


@pytest.fixture(autouse=True)
def _no_collection(monkeypatch):
    """A collection takes half a second beside all that the other tests have loaded."""
    monkeypatch.setattr(gc, "collect", lambda: 0)


class Clock:
    """Stands still until something takes time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def task(self, name: str, *seconds: float):
        """Something that takes the given times in turn, the last one for ever."""
        left = list(seconds)

        def run() -> None:
            self.log.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


def test_time_paired_runs_the_candidates_in_turn_and_drops_the_warm_up():
    clock = Clock()
    candidates = {"a": clock.task("a", 50.0, 1.0, 2.0, 3.0), "b": clock.task("b", 70.0, 4.0)}
    seconds = time_paired(candidates, Budget(0.0, fewest=3, warmups=1), clock=clock)
    assert seconds == {"a": [1.0, 2.0, 3.0], "b": [4.0, 4.0, 4.0]}
    assert "".join(clock.log) == "ab" * 4


def test_time_paired_stops_when_the_time_is_up_but_not_in_a_round():
    clock = Clock()
    candidates = {"a": clock.task("a", 1.0), "b": clock.task("b", 2.0)}
    # rounds of 3 s: at 9 s the fourth is still begun, at 12 s none
    assert len(time_paired(candidates, Budget(10.0, fewest=1), clock=clock)["b"]) == 4


def test_time_paired_does_the_fewest_rounds_even_if_they_are_slow():
    clock = Clock()
    assert len(time_paired({"a": clock.task("a", 60.0)}, Budget(1.0, fewest=5), clock=clock)["a"]) == 5


def test_time_paired_stops_at_the_most_rounds_though_there_is_time():
    clock = Clock()
    assert len(time_paired({"a": clock.task("a", 0.001)}, Budget(1e6, most=7), clock=clock)["a"]) == 7


def test_time_paired_collects_no_garbage_while_the_clock_runs_and_restores_the_collector():
    seen = []

    def fail() -> None:
        seen.append(gc.isenabled())
        raise RuntimeError("broken")

    assert gc.isenabled()
    with pytest.raises(RuntimeError, match="broken"):
        time_paired({"a": fail}, Budget(1.0, warmups=0))
    assert seen == [False]
    assert gc.isenabled()


def test_spread_is_median_extremes_and_count():
    found = spread([5.0, 1.0, 2.0, 10.0])
    assert (found.median, found.least, found.most, found.count) == (3.5, 1.0, 10.0, 4)


def test_speed_ratios_are_above_one_where_we_take_less_time():
    assert speed_ratios([1.0, 4.0], [2.0, 2.0]) == [2.0, 0.5]


def test_speed_ratios_need_rounds_of_both():
    with pytest.raises(ValueError, match="zip"):
        speed_ratios([1.0], [1.0, 2.0])
