"""What is said when a loss or a gradient is no longer a number."""

import math
from pathlib import Path

from restorekit.errors import RestorekitError
from restorekit.training.settings import TrainingSettings

__all__ = ["divergence"]


def divergence(
    step: int, loss: float, gradient_norm: float, settings: TrainingSettings, *, kept: Path | None
) -> RestorekitError:
    """The error for a step whose loss or gradient norm is not finite: where, what is left, and what to lower."""
    what = f"gradient norm, got {gradient_norm}" if math.isfinite(loss) else f"loss, got {loss}"
    rescue = f"the last good checkpoint is {kept}" if kept else "there is no checkpoint before it"
    precision = "" if settings.precision == "float32" else ", or set training.precision=float32"
    return RestorekitError(
        f"training: step {step}: expected a finite {what}; {rescue}; lower training.learning_rate "
        f"(now {settings.learning_rate:g}) or training.clip_norm (now {settings.clip_norm:g}){precision}"
    )
