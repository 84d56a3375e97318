"""What a training run tells while it goes, and when it is over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

__all__ = ["Progress", "Stop", "TrainingResult"]

Stop = Literal["finished", "time", "signal"]
"""Why a call ended: the last step, ``max_minutes``, or SIGTERM or Ctrl-C."""


@dataclass(frozen=True)
class Progress:
    """Where the run is, for whoever shows it."""

    step: int
    steps: int
    loss: float
    """Mean since the last report."""
    steps_per_second: float
    """Since the last report, without validations and checkpoints."""
    seconds_left: float
    """Until the last step or the end of ``max_minutes``, whichever is first."""
    values: Mapping[str, float]
    """The row of the log: loss, gradient norm, learning rate, and the task's own numbers."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Of a validation at this step, if there was one."""


@dataclass(frozen=True)
class TrainingResult:
    """What a call of ``train`` did."""

    step: int
    """Updates done in the whole run."""
    steps: int
    seconds: float
    """Wall time of this call."""
    stopped: Stop
    checkpoint: Path
    weights: Path
    """The averaged weights in float16: what ships."""
    resume_point: Path
    """For another machine."""
    scores: Mapping[str, float]
    """Of the last validation."""

    @property
    def finished(self) -> bool:
        """Whether the last step was reached."""
        return self.step >= self.steps
