"""VGG-16 up to relu5_1 as features, for losses: torchvision's weights, from a file.

Simonyan, Zisserman 2015 (arXiv:1409.1556).
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.core.networks.loading import put_weights
from restorekit.core.weights import load_weights
from restorekit.errors import DependencyError, ModelError

__all__ = ["VGG16_FILE", "VGGFeatures", "load_vgg16"]

VGG16_FILE = "vgg16-397923af.pth"
"""What torchvision calls its weights; torch hub keeps them in its folder under this name."""

RELU5_1 = 26  # layers up to and including it
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, which it was trained with


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
    """VGG-16 up to relu5_1.

    Args:
        weights: in torchvision's layout, .safetensors or .pth; None: torch hub's folder.

    Raises:
        DependencyError: there is no such file, or torchvision cannot be imported.
        ModelError: the file holds something else.
    """
    path = Path(weights) if weights else Path(torch.hub.get_dir()) / "checkpoints" / VGG16_FILE
    if not path.is_file():
        raise DependencyError(
            f"config.loss_features: expected torchvision's weights of VGG-16 at {path}, got no such file; copy "
            f"{VGG16_FILE} there from a machine that has it, or name a .pth or .safetensors by "
            "--set config.loss_features=FILE"
        )
    try:
        from torchvision.models import vgg16
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision of another build than torch
        raise DependencyError(f"config.loss_features: expected torchvision, got: {error}; install it") from error
    with torch.device("meta"):
        network = vgg16(weights=None).features[:RELU5_1]
    tensors = {name.removeprefix("features."): tensor for name, tensor in _read(path).items()}
    put_weights(network, {name: tensors[name] for name in network.state_dict() if name in tensors}, str(path))
    return VGGFeatures(network)


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return dict(load_weights(path, dtype=torch.float32))
    try:
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling a broken file raises nearly anything
        raise ModelError(f"{path}: expected a state dict, got: {error}; fetch the file again") from error
    return weights
