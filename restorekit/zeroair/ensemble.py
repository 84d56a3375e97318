"""Several samples of one image: their mean, and their deviation, which says where the result is a guess.

The mean of many samples has the least squared error of all images that can be made from them; a single one has the
texture of a photo. Where samples differ, the degraded image did not decide.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from restorekit.core.randomness import generator_for
from restorekit.errors import UsageError
from restorekit.zeroair.degradation_model import OneImage

__all__ = ["Ensemble", "draw_ensemble", "generator_of_sample"]


@dataclass(frozen=True)
class Ensemble:
    """What several samples of one image say together."""

    mean: OneImage
    """In [0, 1] nominally."""
    deviation: OneImage | None
    """Standard deviation of one sample at each value, in [0, 1], from the variance with count − 1; None: one sample."""
    count: int
    """Samples drawn."""


def draw_ensemble(sample: Callable[[int, torch.Generator], OneImage], count: int, *, seed: int) -> Ensemble:
    """Mean and deviation of ``count`` samples, of which two are in memory at a time (Welford 1962).

    Args:
        sample: given its number, from 0, and its generator; independent given these.
        count: samples to draw.
        seed: of all of them; the first ones are the same for every count.

    Raises:
        UsageError: ``count`` is not positive.
    """
    if count < 1:
        raise UsageError(f"samples: expected at least 1, got {count}")
    mean = sample(0, generator_of_sample(seed, 0))
    squares = torch.zeros_like(mean)
    for index in range(1, count):
        drawn = sample(index, generator_of_sample(seed, index))
        before = drawn - mean
        mean = mean + before / (index + 1)
        squares += before * (drawn - mean)
    return Ensemble(mean, (squares / (count - 1)).sqrt() if count > 1 else None, count)


def generator_of_sample(seed: int, index: int) -> torch.Generator:
    """The generator of one sample, on the CPU; that of the first is seeded with ``seed`` itself."""
    return torch.Generator().manual_seed(seed) if index == 0 else generator_for(seed, "sample", index)
