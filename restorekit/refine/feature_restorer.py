"""A network whose features are refined, as a restorer: one pass, guided by the prior of the whole photo.

Tiled is not quite whole: attention and means of the module are those of the tile, as are those of many networks. The
prior and the place are those of the whole photo.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from restorekit.core.image.convention import Images, check_images
from restorekit.core.networks.base import PlainImages
from restorekit.core.networks.restorer import UNBOUNDED_HALO_PX, NetworkRestorer
from restorekit.core.prior import FeaturePrior
from restorekit.core.restorer import WholeView, Window
from restorekit.refine.config import RefinementConfig
from restorekit.refine.features import FeatureRefinement, features_refined
from restorekit.refine.restorer import RefinedRestorer
from restorekit.refine.shapes import Prior

__all__ = ["FeatureRefinedRestorer"]


class FeatureRefinedRestorer(RefinedRestorer):
    """A ``GlobalRestorer``: PTG-RM inside a network.

    Args:
        base: the network; its weights are read anew, so that it stays as it is.
        part: whose features are refined.
        name, config, load, prior, without_prior: as for ``RefinedRestorer``; ``load`` makes a ``FeatureRefinement``.

    Raises:
        ModelError: the module asks for a prior, and there is none.
    """

    base: NetworkRestorer

    def __init__(
        self,
        name: str,
        base: NetworkRestorer,
        part: str,
        config: RefinementConfig,
        load: Callable[[], nn.Module],
        prior: FeaturePrior | None = None,
        *,
        without_prior: str = "",
    ) -> None:
        super().__init__(name, base, config, load, prior, without_prior=without_prior)
        multiple_of = math.lcm(base.spec.multiple_of, self.spec.multiple_of)
        self.spec = replace(
            base.spec, multiple_of=multiple_of, minimum=multiple_of, tiling="shared", halo=UNBOUNDED_HALO_PX
        )
        self.part = part

    def load(self) -> nn.Module:
        """The network and the module that refines its features, on the CPU; errors as in ``RefinedRestorer``."""
        module = super().load()
        assert isinstance(module, FeatureRefinement)
        return _Inside(self.base.load(), self.part, module)

    def survey(self, view: WholeView) -> Prior | None:  # type: ignore[override]
        """What the prior says of the whole photo.

        Raises:
            DependencyError: the prior's weights are absent.
        """
        with torch.inference_mode():
            return self._look(view)

    def restore_tile(  # type: ignore[override]
        self,
        degraded: Images,
        code: Prior | None,
        *,
        window: Window,
        generator: torch.Generator | None = None,  # noqa: ARG002  (nothing here is random)
    ) -> Images:
        """Restore one tile of a photo, given what the prior says of the photo; errors as in ``restore``."""
        check_images(degraded, self.name)
        with torch.inference_mode():
            given = None if code is None else code.to(self.device)
            run = self._run if self.planes == (3, 3) else self._run_gray
            restored = run(partial(self.module, prior=given, window=window), self._here(degraded)).to(degraded.device)
        return restored if torch.is_inference_mode_enabled() else restored.clone()

    def refine(self, restored: Images, degraded: Images, prior: Prior | None) -> Images:  # noqa: ARG002
        """The network's result with refined features; ``restored``, its result without, is not needed."""
        height, width = degraded.shape[2:]
        window = Window(0, 0, height, width, full_height=height, full_width=width)
        return self.restore_tile(degraded, prior, window=window)


class _Inside(nn.Module):
    """A network and what refines its features."""

    def __init__(self, network: nn.Module, part: str, module: FeatureRefinement) -> None:
        super().__init__()
        self.network = network
        self.part = part
        self.module = module

    def forward(self, images: PlainImages, prior: Prior | None, window: Window) -> PlainImages:
        """The network's result with refined features."""
        with features_refined(self.network, self.part, self.module, prior, window=window):
            restored: PlainImages = self.network(images)
        return restored
