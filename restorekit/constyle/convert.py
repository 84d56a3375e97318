"""Checkpoints of the authors' code, turned into ours: only what restoring needs, its settings read off the shapes.

- The authors' averaged weights (``params_ema``, which their tests load and which is read here) come with running
  statistics that were never updated. They are kept, so that the codes are those of their tests; a note says so.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from restorekit.constyle.config import MaximUNetConfig
from restorekit.constyle.layouts import LAYOUTS, UNUSED
from restorekit.constyle.network import ConStyleNetworkConfig
from restorekit.constyle.settings import ConStyleConfig
from restorekit.core.networks.loading import put_weights
from restorekit.errors import ModelError

__all__ = ["ConvertedConStyle", "convert"]

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class ConvertedConStyle:
    """A checkpoint in our names."""

    config: ConStyleConfig
    """The settings that its shapes imply."""
    tensors: dict[str, Tensor]
    """For the network of ``config``."""
    notes: tuple[str, ...]
    """What its owner should know."""


def convert(tensors: Tensors, where: str) -> ConvertedConStyle | None:
    """Recognise a checkpoint, deduce its configuration, rename every tensor, and check that all of them fit.

    Args:
        tensors: by the authors' names.
        where: the file, for messages.

    Returns:
        None for checkpoints of anything but ConStyle.

    Raises:
        ModelError: ConStyle around a U-Net that is not built here, or tensors that do not belong together.
    """
    if not any(re.match(r"(ConStyle\.)?encoder_q\.stage1\.", name) for name in tensors):
        return None
    layout = next((layout for layout in LAYOUTS if layout.mark in tensors), None)
    if layout is None:
        raise ModelError(
            f"{where}: expected ConStyle around blocks of {', '.join(known.block for known in LAYOUTS)}, got it around "
            "others (those of KBNet and Uformer are not built here) or the encoder alone"
        )
    try:
        unet = layout.deduce(tensors)
    except (KeyError, IndexError, ValueError) as error:
        raise ModelError(
            f"{where}: expected a whole checkpoint of ConStyle around blocks of {layout.block}, got a part: {error}"
        ) from None
    network = ConStyleNetworkConfig(unet=unet, parity="official")
    with torch.device("meta"):
        built = network.build()
    kept = {layout.rename(name): part for name, part in tensors.items() if not re.search(UNUSED, name)}
    dimensions = {name: part.ndim for name, part in built.state_dict().items()}
    ours = {name: _pointwise(part) if dimensions.get(name) == 4 else part for name, part in kept.items()}
    put_weights(built, ours, where)
    if isinstance(unet, MaximUNetConfig):
        ours |= {name: _finest_first(part, unet.width) for name, part in ours.items() if name.endswith(".join.weight")}
    config = ConStyleConfig.model_validate({"network": network.model_dump(), "contrast": {"parity": "official"}})
    return ConvertedConStyle(config, ours, _notes(ours))


def _notes(tensors: Tensors) -> tuple[str, ...]:
    mean, variance = (tensors[f"encoder.head.1.running_{which}"] for which in ("mean", "var"))
    if bool((mean == 0).all()) and bool((variance == 1).all()):
        return (
            "the running statistics of the encoder's heads were never updated, as in all averaged weights of the "
            "authors' code: codes hardly differ between photos; its live weights (params) have learned ones",
        )
    return ()


def _pointwise(weight: Tensor) -> Tensor:
    """A dense layer over channels as the 1x1 convolution that it is here."""
    return weight[:, :, None, None] if weight.ndim == 2 else weight


def _finest_first(weight: Tensor, width: int) -> Tensor:
    """MAXIM's decoder lists the gated skips from the coarsest, ours from the finest."""
    features, *skips = torch.split(weight, [weight.shape[1] - 3 * width, width, width, width], dim=1)
    return torch.cat([features, *reversed(skips)], dim=1)
