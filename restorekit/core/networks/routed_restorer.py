"""RoutedUNets as a restorer: the router reads the whole photo once, its reading serves every tile."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from restorekit.core.image.canvas import TensorView
from restorekit.core.image.convention import Images, check_images
from restorekit.core.networks.base import NetworkConfig
from restorekit.core.networks.restorer import NetworkRestorer, network_spec
from restorekit.core.networks.routed_unets import Reading, RoutedUNets, RoutedUNetsConfig
from restorekit.core.restorer import WholeView, Window

__all__ = ["RoutedRestorer", "network_restorer"]

OVERVIEW_PX = 512
"""Longer side, in px, of what the router's thumbnail is made from; what is finer does not show in the thumbnail."""


def network_restorer(name: str, config: NetworkConfig, weights: Path | None = None) -> NetworkRestorer:
    """The restorer that suits a network; arguments and errors as in ``NetworkRestorer``."""
    kind = RoutedRestorer if isinstance(config, RoutedUNetsConfig) else NetworkRestorer
    return kind(name, config, weights)


class RoutedRestorer(NetworkRestorer):
    """A ``GlobalRestorer`` for ``RoutedUNets``.

    Args:
        name: as given to ``--model``.
        config: the router and its experts.
        weights: as in ``NetworkRestorer``.
    """

    def __init__(self, name: str, config: NetworkConfig, weights: Path | None = None) -> None:
        super().__init__(name, config, weights, replace(network_spec(config), tiling="shared"))

    def survey(self, view: WholeView) -> Reading:
        """What the router makes of the whole photo."""
        with torch.inference_mode():
            return self._network().read(view.overview(OVERVIEW_PX).to(self.device, torch.float32))

    def restore_tile(
        self,
        degraded: Images,
        code: Reading,
        *,
        window: Window,  # noqa: ARG002  (the experts do not ask where a tile lies)
        generator: torch.Generator | None = None,  # noqa: ARG002
    ) -> Images:
        """Restore a tile, or several of one photo each, given the survey's ``code``."""
        check_images(degraded, self.name)
        with torch.inference_mode():
            images = degraded.to(self.device, torch.float32)
            restored = self._run(partial(self._network().restore, reading=code), images).to(degraded.device)
        return restored if torch.is_inference_mode_enabled() else restored.clone()

    def restore(self, degraded: Images, *, generator: torch.Generator | None = None) -> Images:
        """Restore whole photos, each read on its own; see ``NetworkRestorer.restore``."""
        check_images(degraded, self.name)
        restored = []
        for photo in torch.split(degraded, 1):
            view = TensorView(photo)
            restored.append(self.restore_tile(photo, self.survey(view), window=view.whole(), generator=generator))
        return torch.cat(restored)

    def _network(self) -> RoutedUNets:
        module = self.module
        assert isinstance(module, RoutedUNets)
        return module
