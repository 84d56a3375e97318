"""The ConStyle encoder as a feature prior: its code, which tells how an image is degraded, guides other methods.

A file is a ConStyle run's weights, or a weight file that carries an encoder inside; either way the width is read from
the shapes. Codes are of unit length here, as every prior's vectors are.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from restorekit.constyle.encoder import CODE_SIZE, ConStyleEncoder, Parity
from restorekit.constyle.network import CELL_PX
from restorekit.constyle.restorer import code_of_view
from restorekit.core.image.canvas import TensorView
from restorekit.core.image.convention import Images, check_images
from restorekit.core.networks.loading import put_weights
from restorekit.core.placement import resolve_precision
from restorekit.core.prior import PriorMaps, PriorVectors
from restorekit.core.restorer import WholeView
from restorekit.errors import ModelError

__all__ = ["ConStylePrior", "encoder_from"]

FIRST = "stages.0.0.weight"
"""The encoder's first convolution; it has as many output channels as the encoder is wide."""


class ConStylePrior:
    """A ``FeaturePrior`` that also finds the exact code of a photo of any size, see ``features_of``.

    Args:
        name: as given to ``--prior``.
        load: reads the encoder's tensors, by the names of its ``state_dict``; it travels with a pickled prior.
        where: what it reads, for messages.
    """

    dim = CODE_SIZE
    cell_px = CELL_PX

    def __init__(self, name: str, load: Callable[[], Mapping[str, Tensor]], where: str) -> None:
        self.name = name
        self.load = load
        self.where = where
        self.device = torch.device("cpu")
        self._network: ConStyleEncoder | None = None

    @property
    def network(self) -> ConStyleEncoder:
        """The encoder, frozen, in evaluation mode on ``device``.

        Raises:
            ModelError: the weights are absent or damaged, or are no encoder's.
        """
        if self._network is None:
            encoder = encoder_from(self.load(), self.where).float()  # files often hold float16
            encoder.freeze()
            self._network = encoder.to(self.device)
        return self._network

    def to(self, device: torch.device, precision: str = "float32") -> "ConStylePrior":
        """This prior, moved; it computes in float32, whose cost here is small.

        Raises:
            UsageError: an unknown precision, or float16 on a CPU.
        """
        resolve_precision(precision, device)
        self.device = torch.device(device)
        if self._network is not None:
            self._network = self._network.to(self.device)
        return self

    def features(self, images: Images) -> PriorVectors:
        """See ``FeaturePrior``: the code of each image."""
        check_images(images, self.name)
        return torch.cat([self.features_of(TensorView(image)) for image in torch.split(images, 1)]).to(images.device)

    def features_of(self, view: WholeView) -> PriorVectors:
        """The code of a whole photo, tile by tile; tiles start at multiples of ``cell_px``."""
        with torch.no_grad():
            return F.normalize(code_of_view(self.network, view, self.device))

    def feature_map(self, images: Images) -> PriorMaps:
        """See ``FeaturePrior``: the encoder's features at an eighth of the size, cut down to whole cells."""
        check_images(images, self.name)
        height, width = (max(side // 8, 1) * 8 for side in images.shape[2:])
        with torch.no_grad():
            seen = F.interpolate(images.to(self.device, torch.float32), size=(height, width), mode="area")
            return F.normalize(self.network.feature_maps(seen)[2]).to(images.device)

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_network": None}


def encoder_from(tensors: Mapping[str, Tensor], where: str) -> ConStyleEncoder:
    """The encoder that the tensors are of: bare, or in a ConStyle network's under ``encoder.``.

    Raises:
        ModelError: no encoder's tensors.
    """
    inside = {name.removeprefix("encoder."): tensor for name, tensor in tensors.items() if name.startswith("encoder.")}
    found = inside or dict(tensors)
    if FIRST not in found:
        raise ModelError(
            f"{where}: expected weights with a ConStyle encoder, got none; train one: restorekit constyle train RECIPE"
        )
    parity: Parity = "official" if any(name.endswith("running_mean") for name in found) else "fixed"
    with torch.device("meta"):
        encoder = ConStyleEncoder(parity, width=len(found[FIRST]))
    put_weights(encoder, found, where)
    return encoder
