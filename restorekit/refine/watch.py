"""What tells a module that listens to its prior from one that does not, while it is trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.refine.features import FeatureRefinement
from restorekit.refine.module import RefinementModule

__all__ = ["PriorWatch", "range_map_of"]


class PriorWatch:
    """Gathers, image by image, how much the prior changes of what the module changes.

    A fresh module hardly sees its prior at unit length (0.02 % of the residual), and nothing in the loss says so.
    """

    def __init__(self) -> None:
        self._of_prior = 0.0
        self._of_module = 0.0

    def observe(self, *, restored: Images, refined: Images, without: Images) -> None:
        """Remember images refined with the prior and with zeros in its place."""
        self._of_prior += _energy(refined - without)
        self._of_module += _energy(refined - restored)

    def report(self) -> dict[str, float]:
        """``{"prior_effect": ...}`` since the last report: RMS of what the prior changes over RMS of the refinement.

        0 for a module that ignores its prior; {} where nothing was observed, or nothing was refined.
        """
        if not self._of_module > 0:
            return {}
        effect = (self._of_prior / self._of_module) ** 0.5
        self._of_prior = self._of_module = 0.0
        return {"prior_effect": effect}


@contextmanager
def range_map_of(module: RefinementModule | FeatureRefinement) -> Iterator[dict[str, float]]:
    """Mean and standard deviation of the range map (1: long range) of what is refined within the block.

    The dict that is yielded holds them afterwards; it stays empty for a module without a range map.
    """
    seen: dict[str, float] = {}
    range_map = module.enhancement.range_map if module.enhancement is not None else None
    if range_map is None:
        yield seen
        return

    def look(_module: nn.Module, _inputs: Any, weights: Tensor) -> None:
        found = weights.detach().float()
        seen.update(range_map_mean=float(found.mean()), range_map_spread=float(found.std()))

    hook = range_map.register_forward_hook(look)
    try:
        yield seen
    finally:
        hook.remove()


def _energy(difference: Tensor) -> float:
    return float(difference.detach().double().square().sum())
