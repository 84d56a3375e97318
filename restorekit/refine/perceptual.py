"""The perceptual term of PTG-RM's and SNR-Aware's released training: how differently VGG-19 sees two images.

Johnson et al. 2016 (arXiv:1603.08155) compare features of a network for recognition; those of Simonyan, Zisserman 2015
(arXiv:1409.1556) after the first convolution of each of its five blocks are taken here, the deeper the weightier.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.training.pixel_loss import Reduction
from restorekit.training.vgg_features import DEVIATION, MEAN, vgg_layers

__all__ = ["LAYER_WEIGHTS", "PerceptualLoss", "load_perceptual"]

LAYER_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1, as in the authors' code."""

ENDS = (2, 7, 12, 21, 30)  # layers of torchvision's VGG-19 up to and including each of them


class PerceptualLoss(nn.Module):
    """Weighted L1 distance of the features of five stages; the stages are frozen.

    Args:
        stages: each takes what the one before gave, the first one images.
        normalised: stages see images less ImageNet's mean, over its deviation, as they were trained; False: in [0, 1].
        reduction: over the values of each stage's features.

    Differs from the authors' code: no with ``normalised=False`` and ``reduction="sum"``, which are not the defaults.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, stages: Sequence[nn.Module], *, normalised: bool = True, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages).eval().requires_grad_(False)
        self.reduction = reduction
        self.register_buffer("mean", torch.tensor(MEAN if normalised else (0.0, 0.0, 0.0))[:, None, None])
        self.register_buffer("deviation", torch.tensor(DEVIATION if normalised else (1.0, 1.0, 1.0))[:, None, None])

    def forward(self, restored: Images, clean: Images) -> Float[Tensor, ""]:
        """At least 0, without unit; no gradient reaches ``clean``."""
        with torch.no_grad():
            wanted = self._features(clean)
        losses = [
            weight * _distance(first, second, self.reduction)
            for weight, first, second in zip(LAYER_WEIGHTS, self._features(restored), wanted, strict=True)
        ]
        return torch.stack(losses).sum()

    def _features(self, images: Images) -> list[Tensor]:
        features, found = (images - self.mean) / self.deviation, []
        for stage in self.stages:
            features = stage(features)
            found.append(features.float())
        return found


def load_perceptual(
    weights: str | Path | None = None, *, normalised: bool = True, reduction: Reduction = "mean"
) -> PerceptualLoss:
    """The loss with VGG-19.

    Args:
        weights: in torchvision's layout, .safetensors or .pth; None: torch hub's folder.
        normalised, reduction: as for ``PerceptualLoss``.

    Raises:
        DependencyError: there is no such file, or torchvision cannot be imported.
        ModelError: the file holds something else.
    """
    network = vgg_layers(19, ENDS[-1], weights, instead=", or train without: --set config.perceptual_weight=0")
    stages = [network[start:end] for start, end in zip((0, *ENDS), ENDS, strict=False)]
    return PerceptualLoss(stages, normalised=normalised, reduction=reduction)


def _distance(first: Tensor, second: Tensor, reduction: Reduction) -> Tensor:
    difference = (first - second).abs()
    return difference.sum() if reduction == "sum" else difference.mean()
