"""The losses of ZeroAIR: adversarial in six forms, deep features, total variation.

Images are in [0, 1]. Every loss that guides is a mean over the pixels of one image, so that its gradient's scale does
not depend on how many images are computed together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.core.networks.loading import put_weights
from restorekit.core.weights import load_weights
from restorekit.zeroair.config import GanForm

__all__ = ["ADVERSARIAL", "AdversarialForm", "FeatureDistance", "load_vgg16_distance", "total_variation"]

Scalar = Float[Tensor, ""]


@dataclass(frozen=True)
class AdversarialForm:
    """What a discriminator's raw scores cost, as means over the map of scores."""

    real: Callable[[Tensor], Tensor]
    """Cost for the discriminator of scores of real images."""
    fake: Callable[[Tensor], Tensor]
    """Cost for the discriminator of scores of made images."""
    generator: Callable[[Tensor], Tensor]
    """Cost for the generator of scores of made images."""


def _bce(target: float) -> Callable[[Tensor], Tensor]:
    def cost(scores: Tensor) -> Tensor:
        """Sigmoid, then cross-entropy, whose logarithm PyTorch cuts at -100: saturated scores have no gradient."""
        return F.binary_cross_entropy(scores.sigmoid(), torch.full_like(scores, target))

    return cost


ADVERSARIAL: dict[GanForm, AdversarialForm] = {
    "bce": AdversarialForm(real=_bce(1.0), fake=_bce(0.0), generator=_bce(1.0)),
    "bce_logits": AdversarialForm(
        real=lambda scores: -F.logsigmoid(scores).mean(),
        fake=lambda scores: -F.logsigmoid(-scores).mean(),
        generator=lambda scores: -F.logsigmoid(scores).mean(),
    ),
    "lsgan": AdversarialForm(
        real=lambda scores: (scores - 1.0).square().mean(),
        fake=lambda scores: scores.square().mean(),
        generator=lambda scores: (scores - 1.0).square().mean(),
    ),
    "wgan_softplus": AdversarialForm(
        real=lambda scores: F.softplus(-scores).mean(),
        fake=lambda scores: F.softplus(scores).mean(),
        generator=lambda scores: F.softplus(-scores).mean(),
    ),
    "hinge": AdversarialForm(
        real=lambda scores: F.relu(1.0 - scores).mean(),
        fake=lambda scores: F.relu(1.0 + scores).mean(),
        generator=lambda scores: -scores.mean(),
    ),
    "wgan": AdversarialForm(
        real=lambda scores: -scores.mean(),
        fake=lambda scores: scores.mean(),
        generator=lambda scores: -scores.mean(),
    ),
}
"""The six forms of the paper's ablation. bce, bce_logits and wgan_softplus are one function in exact arithmetic; the
paper's 22.29, 22.06 and 21.47 dB for them are a measure of how much its results vary."""


class FeatureDistance(nn.Module):
    """Mean squared distance of the features of a frozen network.

    Args:
        network: images, normalised, to features of any shape; it is frozen here.
        mean, deviation: of the normalisation, per colour in [0, 1]; ImageNet's by default.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        mean: tuple[float, float, float] = (0.485, 0.456, 0.406),
        deviation: tuple[float, float, float] = (0.229, 0.224, 0.225),
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None])

    def forward(self, first: Images, second: Images) -> Scalar:
        """Mean over all features of both batches; values outside [0, 1] are not clamped."""
        features = self.network((torch.cat([first, second]) - self.mean) / self.deviation)
        ours, theirs = features.chunk(2)
        return F.mse_loss(ours, theirs)


def load_vgg16_distance(weights: Path) -> FeatureDistance:
    """The authors' feature loss: VGG-16 up to its fourth activation (relu2_2).

    Args:
        weights: safetensors with torchvision's names, ``features.0.weight`` to ``features.7.bias``; more is ignored.

    Raises:
        ModelError: the file is absent or damaged, or lacks these tensors.
    """
    from torchvision.models import vgg16

    tensors = load_weights(weights, dtype=torch.float32)
    first = {
        name.removeprefix("features."): tensor
        for name, tensor in tensors.items()
        if name.startswith(("features.0.", "features.2.", "features.5.", "features.7."))
    }
    with torch.device("meta"):
        network = vgg16(weights=None).features[:9]
    put_weights(network, first, str(weights))
    return FeatureDistance(network)


def total_variation(images: Images) -> Scalar:
    """Twice the mean squared difference between vertical neighbours plus the same between horizontal ones."""
    vertical = (images[:, :, 1:] - images[:, :, :-1]).square().mean()
    horizontal = (images[:, :, :, 1:] - images[:, :, :, :-1]).square().mean()
    return 2.0 * (vertical + horizontal)
