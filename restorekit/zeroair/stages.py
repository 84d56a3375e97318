"""Which stage a timestep belongs to and what its terms weigh, and how far one step moves the sample.

Stages end at a signal-to-noise ratio; here that is turned into timesteps of the noise schedule at hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from restorekit.zeroair.config import Stage

__all__ = ["Moment", "StageSchedule", "StageWeights", "composed_alpha"]


@dataclass(frozen=True)
class Moment:
    """Where in a run a step is."""

    step: int
    """From 1."""
    steps: int
    """Steps of the run."""
    timestep: int
    """Of the noise schedule, 0 the clean end."""
    alpha_bar: float
    """Share of the clean image's variance at ``timestep``."""
    alpha_bar_next: float = 1.0
    """The same at the step that follows; 1 after the last."""

    def __str__(self) -> str:
        return f"step {self.step} of {self.steps} (timestep {self.timestep})"


@dataclass(frozen=True)
class StageWeights:
    """What guides one step; the warm-up is applied."""

    number: int
    """Of the stage, from 1."""
    stage: Stage
    """As it was configured."""
    reconstruction: float
    """Its reconstruction weight now."""


class StageSchedule:
    """The stages of a run over a noise schedule.

    Args:
        stages: in order of rising signal-to-noise ratio.
        alpha_bar: ᾱ of every timestep of training.
    """

    def __init__(self, stages: Sequence[Stage], alpha_bar: Float[Tensor, "timesteps"]) -> None:
        values = alpha_bar.double()
        ratios = values / (1.0 - values)
        self._stages = tuple(stages)
        self._lowest = [
            0 if stage.below_snr is None else int((ratios >= stage.below_snr).sum()) for stage in self._stages
        ]
        self._highest = [len(ratios) - 1, *(lowest - 1 for lowest in self._lowest[:-1])]

    def at(self, timestep: int) -> StageWeights:
        """The stage of a timestep; its warm-up runs from 0 at the stage's first timestep to 1 at its last."""
        index = next(index for index, lowest in enumerate(self._lowest) if timestep >= lowest)
        stage, length = self._stages[index], self._highest[index] - self._lowest[index]
        share = 1.0 - (timestep - self._lowest[index]) / length if stage.warm_up and length > 0 else 1.0
        return StageWeights(number=index + 1, stage=stage, reconstruction=stage.reconstruction * share)


def composed_alpha(alpha: float, spacing: float) -> float:
    """The step weight of one long step that goes as far as ``spacing`` steps of weight ``alpha``.

    A step leaves the share 1 − alpha of a residual, so n steps leave (1 − alpha)ⁿ. Multiplying alpha by n instead
    diverges once the product exceeds about 2.

    >>> round(composed_alpha(0.0636, 10.0), 4)
    0.4817
    """
    return alpha if spacing == 1 else 1.0 - (1.0 - alpha) ** spacing
