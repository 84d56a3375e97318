"""The learning rate of a step, as a pure function: nothing to save, nothing to resume."""

import math

from restorekit.training.settings import TrainingSettings

__all__ = ["learning_rate"]


def learning_rate(settings: TrainingSettings, step: int, *, restarted_at: int | None = None) -> float:
    """Linear warm-up to the peak, then half a cosine down to the final rate.

    Loshchilov and Hutter 2017 (arXiv:1608.03983), eq. 5 without restarts:
    ``final + (peak - final) / 2 * (1 + cos(pi * progress))``.

    Args:
        settings: the peak, the final rate, and the lengths in steps.
        step: number of the update, 1 to ``settings.steps``; the peak is at ``warmup_steps``, the final rate at the end.
        restarted_at: updates done when the optimiser last started without moments; None if it never did.

    Differs from the paper: the warm-up.
    """
    peak, final = settings.learning_rate, settings.final_learning_rate
    warmup = min(settings.warmup_steps, settings.steps // 2)  # so that a run cut short by --set still has its shape
    if step < warmup:
        rate = peak * step / warmup
    else:
        progress = (step - warmup) / max(settings.steps - warmup, 1)
        rate = final + (peak - final) / 2 * (1 + math.cos(math.pi * progress))
    if restarted_at is not None and step - restarted_at < settings.rewarmup_steps:
        rate *= (step - restarted_at) / settings.rewarmup_steps
    return rate
