"""The first layers of VGG-16 and VGG-19, for losses: torchvision's weights, from a file.

Simonyan, Zisserman 2015 (arXiv:1409.1556).
"""

from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.core.networks.convert import read_checkpoint
from restorekit.core.networks.loading import put_weights
from restorekit.errors import DependencyError

__all__ = ["DEVIATION", "MEAN", "VGG_FILES", "VGGFeatures", "load_vgg16", "vgg_layers"]

VGG_FILES = {16: "vgg16-397923af.pth", 19: "vgg19-dcbb9e9d.pth"}
"""What torchvision calls its weights; torch hub keeps them in its folder under these names."""

RELU5_1 = 26  # layers of VGG-16 up to and including it
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, which they were trained with


class VGGFeatures(nn.Module):
    """The frozen network behind the normalisation that it was trained with.

    Args:
        network: from normalised images to features.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None])

    def forward(self, images: Images) -> Float[Tensor, "batch 512 rows columns"]:
        """(batch, 512, height / 16, width / 16) for images in [0, 1]."""
        features: Tensor = self.network((images - self.mean) / self.deviation)
        return features


def load_vgg16(weights: str | Path | None = None) -> VGGFeatures:
    """VGG-16 up to relu5_1; arguments and errors as for ``vgg_layers``."""
    return VGGFeatures(vgg_layers(16, RELU5_1, weights))


def vgg_layers(
    depth: Literal[16, 19], count: int, weights: str | Path | None = None, *, instead: str = ""
) -> nn.Sequential:
    """The first layers of a VGG, in float32.

    Args:
        depth: which.
        count: of torchvision's ``features``.
        weights: in torchvision's layout, .safetensors or .pth; None: torch hub's folder.
        instead: end of the message where they are absent: what can be done without them.

    Raises:
        DependencyError: there is no such file, or torchvision cannot be imported.
        ModelError: the file holds something else.
    """
    path = Path(weights) if weights else Path(torch.hub.get_dir()) / "checkpoints" / VGG_FILES[depth]
    if not path.is_file():
        raise DependencyError(
            f"config.loss_features: expected torchvision's weights of VGG-{depth} at {path}, got no such file; copy "
            f"{VGG_FILES[depth]} there from a machine that has it, or name a .pth or .safetensors by "
            f"--set config.loss_features=FILE{instead}"
        )
    try:
        from torchvision import models
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision of another build than torch
        raise DependencyError(f"config.loss_features: expected torchvision, got: {error}; install it") from error
    with torch.device("meta"):
        network: nn.Sequential = getattr(models, f"vgg{depth}")(weights=None).features[:count]
    tensors = {name.removeprefix("features."): tensor.float() for name, tensor in read_checkpoint(path).items()}
    put_weights(network, {name: tensors[name] for name in network.state_dict() if name in tensors}, str(path))
    return network
