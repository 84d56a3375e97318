"""Networks that must know something of the whole photo: found once by ``survey``, used by every tile."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from restorekit.core.image.canvas import TensorView
from restorekit.core.image.convention import Images, check_images
from restorekit.core.networks.base import NetworkConfig, PlainImages
from restorekit.core.networks.restorer import NetworkRestorer, network_spec
from restorekit.core.restorer import WholeView, Window

__all__ = ["OVERVIEW_PX", "SurveyedNetworkRestorer", "network_restorer"]

OVERVIEW_PX = 512
"""Longer side, in px, of the view that thumbnails are made from; what is finer does not show in them."""


def network_restorer(name: str, config: NetworkConfig, weights: Path | None = None) -> NetworkRestorer:
    """The restorer that suits a network; arguments and errors as in ``NetworkRestorer``."""
    kind = SurveyedNetworkRestorer if config.surveyed else NetworkRestorer
    return kind(name, config, weights)


class SurveyedNetworkRestorer(NetworkRestorer):
    """A ``GlobalRestorer`` for one of our networks.

    The network has ``read(photos, patches)``, whose result ``restore(images, reading)`` takes for each tile. Subclasses
    may survey in another way.

    Args:
        name: as given to ``--model``.
        config: which network; its receptive field is that of a tile whose survey is given.
        weights: as in ``NetworkRestorer``.
    """

    def __init__(self, name: str, config: NetworkConfig, weights: Path | None = None) -> None:
        super().__init__(name, config, weights, replace(network_spec(config), tiling="shared"))

    def look(self, network: Any, view: WholeView) -> Any:
        """What the tiles need to know of the whole photo; on this restorer's device."""
        overview, patches = view.overview(OVERVIEW_PX), view.patches()
        return network.read(overview.to(self.device, torch.float32), patches.to(self.device, torch.float32))

    def restore_given(self, network: Any, images: PlainImages, code: Any) -> PlainImages:
        """Restore tiles of one photo given what ``look`` found."""
        restored: PlainImages = network.restore(images, code)
        return restored

    def survey(self, view: WholeView) -> Any:
        """What ``restore_tile`` needs to know of the whole photo."""
        with torch.inference_mode():
            return self.look(self.module, view)

    def restore_tile(
        self,
        degraded: Images,
        code: Any,
        *,
        window: Window,  # noqa: ARG002  (networks do not ask where a tile lies)
        generator: torch.Generator | None = None,  # noqa: ARG002  (nothing here is random)
    ) -> Images:
        """Restore one tile, or several of one photo, given the survey's ``code``; errors as in ``restore``."""
        check_images(degraded, self.name)
        with torch.inference_mode():
            images = degraded.to(self.device, torch.float32)
            restored = self._run(partial(self.restore_given, self.module, code=code), images).to(degraded.device)
        return restored if torch.is_inference_mode_enabled() else restored.clone()

    def restore(self, degraded: Images, *, generator: torch.Generator | None = None) -> Images:
        """Restore whole photos, each surveyed on its own; see ``NetworkRestorer.restore``."""
        check_images(degraded, self.name)
        restored = []
        for photo in torch.split(degraded, 1):
            view = TensorView(photo)
            restored.append(self.restore_tile(photo, self.survey(view), window=view.whole(), generator=generator))
        return torch.cat(restored)
