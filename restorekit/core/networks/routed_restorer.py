"""RoutedUNets as a restorer: the router reads the whole photo once, its reading serves every tile."""

from pathlib import Path
from typing import Any

import torch

from restorekit.core.networks.base import NetworkConfig, PlainImages
from restorekit.core.networks.restorer import NetworkRestorer
from restorekit.core.networks.routed_unets import Reading, RoutedUNetsConfig
from restorekit.core.networks.surveyed import SurveyedNetworkRestorer
from restorekit.core.restorer import WholeView

__all__ = ["RoutedRestorer", "network_restorer"]

OVERVIEW_PX = 512
"""Longer side, in px, of what the router's thumbnail is made from; what is finer does not show in the thumbnail."""


def network_restorer(name: str, config: NetworkConfig, weights: Path | None = None) -> NetworkRestorer:
    """The restorer that suits a network; arguments and errors as in ``NetworkRestorer``."""
    kind = RoutedRestorer if isinstance(config, RoutedUNetsConfig) else NetworkRestorer
    return kind(name, config, weights)


class RoutedRestorer(SurveyedNetworkRestorer):
    """A ``GlobalRestorer`` for ``RoutedUNets``; arguments as in ``SurveyedNetworkRestorer``."""

    def look(self, network: Any, view: WholeView) -> Reading:
        """What the router makes of the whole photo."""
        reading: Reading = network.read(view.overview(OVERVIEW_PX).to(self.device, torch.float32))
        return reading

    def restore_given(self, network: Any, images: PlainImages, code: Reading) -> PlainImages:
        """By the expert and the curves of the reading."""
        restored: PlainImages = network.restore(images, code)
        return restored
