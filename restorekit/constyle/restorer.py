"""ConStyle as a restorer: the code of the whole photo is found once, tile by tile, and shared by all tiles."""

from typing import Any

import torch
from torch import Tensor

from restorekit.constyle.encoder import LAST_RADIUS_PX, Code, ConStyleEncoder
from restorekit.constyle.network import CELL_PX, Survey
from restorekit.core.image.canvas import round_up
from restorekit.core.networks.base import PlainImages
from restorekit.core.networks.surveyed import OVERVIEW_PX, SurveyedNetworkRestorer
from restorekit.core.restorer import WholeView, Window

__all__ = ["ConStyleRestorer", "code_of_view"]


class ConStyleRestorer(SurveyedNetworkRestorer):
    """A ``GlobalRestorer`` for ``ConStyleNetwork``; arguments as in ``SurveyedNetworkRestorer``."""

    def look(self, network: Any, view: WholeView) -> Survey:
        """The code of the whole photo, exact for any size, and its tone curves, from a small view of it."""
        code = code_of_view(network.encoder, view, self.device) if network.config.unet.use_code else None
        overview = view.overview(OVERVIEW_PX).to(self.device, torch.float32) if network.config.tones else None
        return Survey(code, None if overview is None else network.curves_of(overview, code))

    def restore_given(self, network: Any, images: PlainImages, code: Survey) -> PlainImages:
        """Maps are local and found here; the survey is given."""
        restored: PlainImages = network.restore_tile(images, code)
        return restored


def code_of_view(encoder: ConStyleEncoder, view: WholeView, device: torch.device) -> Code:
    """The code of a photo of any size, exact: the last features are summed up tile by tile.

    Args:
        encoder: on ``device``.
        view: its tiles start at multiples of ``CELL_PX``.
        device: where it is computed.
    """
    sums, cells = [], 0
    for tile, window, core in view.tiles(halo=round_up(LAST_RADIUS_PX, CELL_PX)):
        images = tile.to(device, torch.float32)
        inner = _of_core(encoder.last_map(encoder.feature_maps(images)), window, core)
        sums.append(inner.double().sum(dim=(2, 3)))
        cells += inner.shape[2] * inner.shape[3]
    pooled = torch.stack(sums).sum(dim=0) / cells
    return encoder.codes(pooled.float())[1]


def _of_core(features: Tensor, window: Window, core: Window) -> Tensor:
    """The cells of ``features``, which are those of ``window``, that lie in ``core``."""
    top, left = (core.top - window.top) // CELL_PX, (core.left - window.left) // CELL_PX
    height, width = (round_up(side, CELL_PX) // CELL_PX for side in (core.height, core.width))
    return features[:, :, top : top + height, left : left + width]
