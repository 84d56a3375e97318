"""EnlightenGAN's loss: what a bright photo looks like is learned from bright photos of anything else.

Jiang, Gong, Liu, Cheng, Fang, Shen, Yang, Zhou, Wang 2021 (arXiv:1906.06972), section 3.

- Two discriminators judge what a network made of a dark image: one all of it, one small patches. They learn beside the
  network, after each of its updates, by an optimiser of their own, and do not ship.
- That the content stays is the business of a frozen network's features, VGG-16's in the paper: any callable will do.
- The paper's own network, a U-Net with attention, is not here: the loss trains whatever is given, a stand-in for it.
- With several processes each trains its own discriminators; a checkpoint keeps those of the first.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.image.convention import Images

__all__ = [
    "PATCH_PX",
    "EnlightenGANLoss",
    "FeatureExtractor",
    "PatchDiscriminator",
    "least_squares",
    "relativistic_least_squares",
    "self_feature_preserving",
]

Extracted = Float[Tensor, "batch maps rows columns"]

FeatureExtractor = Callable[[Images], Extracted]
"""A frozen network's features of images in [0, 1], such as ``vgg_features.VGGFeatures``."""

Loss = Float[Tensor, ""]
"""At least 0, without unit."""

Scores = Float[Tensor, "judged 1 rows columns"]
"""High where a discriminator takes an image for a bright photo; without bounds."""

OtherScores = Float[Tensor, "others 1 rows columns"]

Patches = Float[Tensor, "patches 3 side side"]

PATCH_PX = 32
"""Side of a patch in the authors' code."""
PATCHES = 5  # of each image (section 3.1)
BETAS = (0.5, 0.999)  # of Adam, in the authors' code


class EnlightenGANLoss:
    """Eq. 8:  L = L_SFP^Global + L_SFP^Local + L_G^Global + L_G^Local, and the discriminators that it needs.

    Args:
        features: phi of L_SFP, on the images' device, without gradients to its weights.
        width: channels of the discriminators' first layer; 64 in the authors' code.
        patch_px: side of a patch; images are at least as large.
        learning_rate: of the discriminators' Adam; 1e-4 in the paper.

    Differs from the paper: no. Its network, and the linear decay of this learning rate, are the caller's business.
    """

    def __init__(
        self,
        features: FeatureExtractor,
        *,
        width: int = 64,
        patch_px: int = PATCH_PX,
        learning_rate: float = 1e-4,
    ) -> None:
        self.features = features
        self.whole = PatchDiscriminator(width, halvings=5)
        self.local = PatchDiscriminator(width, halvings=4)
        self._networks = nn.ModuleDict({"whole": self.whole, "local": self.local})
        self._patch_px = patch_px
        self._optimiser = torch.optim.Adam(self._networks.parameters(), learning_rate, BETAS)
        self._seen: list[tuple[Images, Images, Patches, Patches]] = []

    def __call__(self, restored: Images, degraded: Images, bright: Images, *, generator: torch.Generator) -> Loss:
        """What ``restored`` costs its maker; no gradient reaches the discriminators, which remember what they saw.

        Args:
            restored: (batch, 3, height, width), nominally in [0, 1].
            degraded: the dark images that they were made of.
            bright: as many photos of anything else, of the same size.
            generator: on their device; says where the patches lie, in all three at the same places.
        """
        places = _places(restored, self._patch_px, generator)
        of_restored, of_degraded, of_bright = (
            _patches(images, places, self._patch_px) for images in (restored, degraded, bright)
        )
        self._networks.requires_grad_(False)
        losses = [
            self_feature_preserving(restored, degraded, self.features),
            self_feature_preserving(of_restored, of_degraded, self.features),
            relativistic_least_squares(self.whole(restored), over=self.whole(bright)),
            least_squares(self.local(of_restored), 1.0),
        ]
        self._seen.append((restored.detach(), bright, of_restored.detach(), of_bright))
        return torch.stack(losses).sum()

    def learn(self) -> float:
        """One update of both discriminators on all they saw since the last one (eq. 3 and 5); returns their loss."""
        if not self._seen:
            return 0.0
        self._networks.requires_grad_(True)
        losses = [
            relativistic_least_squares(self.whole(bright), over=self.whole(restored))
            + least_squares(self.local(of_bright), 1.0)
            + least_squares(self.local(of_restored), 0.0)
            for restored, bright, of_restored, of_bright in self._seen
        ]
        loss = torch.stack(losses).mean()
        self._optimiser.zero_grad()
        torch.autograd.backward(loss)
        self._optimiser.step()
        self._seen.clear()
        return float(loss.detach())

    def to(self, device: torch.device) -> "EnlightenGANLoss":
        """The discriminators on the device, and the features if they are a module."""
        self._networks.to(device)
        if isinstance(self.features, nn.Module):
            self.features.to(device)
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """The discriminators' weights and their optimiser's moments, by name."""
        tensors = dict(self._networks.state_dict())
        for name, weight in self._networks.named_parameters():
            tensors |= {f"{name}/{what}": value for what, value in self._moments(weight).items()}
        return tensors

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what ``state_dict`` gave; of a compact resume point, in half precision, the moments start anew."""
        self._networks.load_state_dict({name: state[name] for name in self._networks.state_dict()})
        for name, weight in self._networks.named_parameters():
            for what, value in self._moments(weight).items():
                kept = state[f"{name}/{what}"]
                value.copy_(kept if kept.dtype == value.dtype else torch.zeros_like(kept))

    def _moments(self, weight: nn.Parameter) -> dict[str, Tensor]:
        """Of one weight; made here where there are none yet, as Adam would make them."""
        state: dict[str, Tensor] = self._optimiser.state[weight]
        if not state:
            state |= {"step": torch.zeros(()), "exp_avg": torch.zeros_like(weight.detach())}
            state["exp_avg_sq"] = torch.zeros_like(weight.detach())
        return state


class PatchDiscriminator(nn.Module):
    """4x4 convolutions of stride two with leaky ReLU, then two of stride one: every score sees a part of the image.

    Isola, Zhu, Zhou, Efros 2017 (arXiv:1611.07004), section 3.2.2. Differs from the paper: no normalisation, and more
    layers, as in EnlightenGAN's code.

    Args:
        width: channels of the first layer; they double with each further one, up to eight times as many.
        halvings: layers of stride two.
    """

    def __init__(self, width: int, *, halvings: int) -> None:
        super().__init__()
        widths = [3, *(width * min(2**index, 8) for index in range(halvings + 1))]
        layers: list[nn.Module] = []
        for index, (taken, given) in enumerate(itertools.pairwise(widths)):
            stride = 2 if index < halvings else 1
            layers += [nn.Conv2d(taken, given, 4, stride=stride, padding=2), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, padding=2))

    def forward(self, images: Images) -> Scores:
        """Scores in float32 at least, for images of any size."""
        scores: Tensor = self.layers(images)
        return scores.to(torch.promote_types(scores.dtype, torch.float32))


def relativistic_least_squares(winner: Scores, *, over: OtherScores) -> Loss:
    """How far ``winner`` is from being judged one better than ``over``, on average.

    Eq. 3:  L_D^Global = E[(D_Ra(x_r, x_f) - 1)^2] + E[D_Ra(x_f, x_r)^2],  D_Ra(a, b) = C(a) - E[C(b)], with the bright
    photos x_r for winners. Eq. 4, L_G^Global, is the same with the restored images x_f for winners.

    Differs from the paper: no; the authors' code takes half of it.
    """
    return (winner - over.mean() - 1).square().mean() + (over - winner.mean()).square().mean()


def least_squares(scores: Scores, wanted: float) -> Loss:
    """Mean squared distance from what is wanted: the terms of eq. 5, 1 for bright and 0 for restored patches, and 6."""
    return (scores - wanted).square().mean()


def self_feature_preserving(restored: Images, degraded: Images, features: FeatureExtractor) -> Loss:
    """How far the features of the result are from those of the dark image, each map at mean 0 and variance 1.

    Eq. 7:  L_SFP = 1 / (W H) sum_x sum_y (phi(I) - phi(G(I)))^2, with instance normalisation after phi.

    Args:
        features: phi, relu5_1 of VGG-16 in the paper; two maps or more of more than one pixel.

    Differs from the paper: a mean over the maps as well, as in the authors' code.
    """
    with torch.no_grad():
        wanted = F.instance_norm(features(degraded))
    return F.mse_loss(F.instance_norm(features(restored)), wanted)


def _places(images: Images, side: int, generator: torch.Generator) -> list[list[tuple[int, int]]]:
    """Top and left of each patch of each image."""
    ends = torch.tensor([length - side + 1 for length in images.shape[2:]], device=generator.device)
    drawn = torch.rand(len(images), PATCHES, 2, generator=generator, device=generator.device)
    return [[(int(top), int(left)) for top, left in image] for image in (drawn * ends).long().tolist()]


def _patches(images: Images, places: Sequence[Sequence[tuple[int, int]]], side: int) -> Patches:
    """All patches of all images, as a batch."""
    return torch.stack(
        [
            image[:, top : top + side, left : left + side]
            for image, corners in zip(images, places, strict=True)
            for top, left in corners
        ]
    )
