"""How long things take, next to each other: the same rounds for all of them, in turn, after a warm-up.

- A round runs every candidate once: A B C, A B C, ... A machine that slows down slows all of them.
- A ratio is taken within each round; its median and its extremes are quoted, never the ratio of two separate runs.
"""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["FEWEST_ROUNDS", "Budget", "Spread", "speed_ratios", "spread", "time_paired"]

FEWEST_ROUNDS = 5
"""However slow a round is: fewer have no median worth the name."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class Budget:
    """How long to measure one comparison."""

    seconds: float = 20.0
    """Rounds are started until so much time has gone by since the first one, warm-up not counted."""
    fewest: int = FEWEST_ROUNDS
    """Rounds that are done even if the time is up."""
    most: int = 1000
    """Rounds that are enough even if there is time."""
    warmups: int = 1
    """Rounds before the first one that counts."""


@dataclass(frozen=True)
class Spread:
    """What is quoted of a list of measurements."""

    median: float
    least: float
    most: float
    count: int


def time_paired(
    candidates: Mapping[str, Callable[[], object]], budget: Budget, *, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each candidate in each round, by name; all lists have the same length.

    Garbage is collected before every round, outside the clock, and not during it.
    """
    for _ in range(budget.warmups):
        for run in candidates.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    began = clock()
    rounds = 0
    while rounds < budget.fewest or (rounds < budget.most and clock() - began < budget.seconds):
        gc.collect()
        collecting = gc.isenabled()
        gc.disable()
        try:
            for name, run in candidates.items():
                start = clock()
                run()
                seconds[name].append(clock() - start)
        finally:
            if collecting:
                gc.enable()
        rounds += 1
    return seconds


def spread(values: Sequence[float]) -> Spread:
    """Median and extremes of at least one value."""
    return Spread(statistics.median(values), min(values), max(values), len(values))


def speed_ratios(ours: Sequence[float], peer: Sequence[float]) -> list[float]:
    """How many times as fast as the peer we are, round by round: above 1 we are faster."""
    return [theirs / own for own, theirs in zip(ours, peer, strict=True)]
