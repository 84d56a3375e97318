"""What a base makes of training crops: those that look at the whole photo are shown a view of it."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.core.networks.base import PlainImages
from restorekit.core.networks.surveyed import SurveyedNetworkRestorer
from restorekit.core.restorer import Restorer, Window
from restorekit.training.router import restored_by_route

__all__ = ["restored_by_network", "restored_by_restorer"]

Views = Float[Tensor, "batch 3 view_height view_width"]
Restored = Float[Tensor, "batch planes_out height width"]


def restored_by_network(
    network: nn.Module, crops: PlainImages, batch: Mapping[str, Tensor], routes: Sequence[int] | None = None
) -> Restored:
    """By a base whose weights are at hand, with gradients where they are on.

    Args:
        network: of ``restorekit.core.networks``.
        crops: "degraded" of the batch, in the planes that the network takes.
        batch: of ``CropBatches``, or whole photos alone, under "degraded".
        routes: see ``RefineConfig.routes``; not looked at for whole photos.
    """
    surveyed, view = cast(Any, network), batch.get("view")
    if view is None or not hasattr(network, "read"):
        restored: Restored = network(crops)
    elif routes is not None:
        restored = restored_by_route(surveyed, batch, routes)
    else:
        restored = surveyed.restore(crops, surveyed.read(view, crops[:, None]))
    return restored


def restored_by_restorer(base: Restorer, crops: Images, view: Views | None) -> Images:
    """By a frozen base, without gradients: of crops whose photos it sees in a view, or of whole photos.

    Without a view, a base that looks at the whole photo takes a crop for one, and may see something else in it.
    """
    network: Any = base.module if isinstance(base, SurveyedNetworkRestorer) else None
    if view is None or not (isinstance(base, SurveyedNetworkRestorer) and hasattr(network, "read")):
        return base.restore(crops)
    with torch.inference_mode():
        reading, size = network.read(view, crops[:, None]), crops.shape[2:]
    return base.restore_tile(crops, reading, window=Window(0, 0, *size, *size))
