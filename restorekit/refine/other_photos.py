"""What a prior says of other photos, in place of what it says of the photo at hand: a control for restoring.

Controls within a set of photos (``controls.score_controls``) need the set. These need no more than the photo: the
bundled samples, each degraded in five ways, stand for all others. So a photo's result depends on nothing but the photo,
and what is swapped can be restored with, compared and benchmarked like any other model.
"""

import functools
import hashlib
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from restorekit.core.degradation.chain import degrade_images
from restorekit.core.image.convention import Images, check_images, to_images
from restorekit.core.image.files import read_image
from restorekit.core.image.samples import CROP_SIDE_PX, SAMPLES
from restorekit.core.prior import FeaturePrior, PriorMaps, PriorVectors
from restorekit.core.randomness import generator_for

__all__ = ["DEGRADATIONS", "OtherPhotosPrior"]

DEGRADATIONS = ("noise:sigma=25,clip=0", "rain", "haze", "low_light", "motion:length=4..30")
"""What the other photos went through."""


class OtherPhotosPrior:
    """A ``FeaturePrior`` that asks another one about other photos.

    Args:
        prior: the one that is asked, once.
        how: "shuffled": about one other photo, which follows from the pixels of the image at hand. "mean": about all of
            them; of what it says the mean, made unit length.

    Raises:
        DependencyError: when first asked: the bundled samples, or the prior's weights, are absent.
    """

    def __init__(self, prior: FeaturePrior, how: Literal["shuffled", "mean"]) -> None:
        self.name = f"{prior.name}, {how}"
        self._prior = prior
        self._how = how
        self._said: dict[str, Tensor] = {}

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._prior.dim

    def to(self, device: torch.device, precision: str = "float32") -> "OtherPhotosPrior":
        """This prior, and the one that it asks."""
        self._prior = self._prior.to(device, precision)
        return self

    def features(self, images: Images) -> PriorVectors:
        """A vector of unit length for each image.

        Raises:
            ImageError: ``images`` is no finite floating point batch of RGB images.
        """
        return self._answer("vectors", self._prior.features, images)

    def feature_map(self, images: Images) -> PriorMaps:
        """A map of unit vectors for each image. Errors as in ``features``."""
        return self._answer("maps", self._prior.feature_map, images)

    def _answer(self, kind: str, ask: Callable[[Images], Tensor], images: Images) -> Tensor:
        check_images(images, self.name)
        if kind not in self._said:
            self._said[kind] = torch.cat([ask(photo[None].to(images)) for photo in _other_photos()])
        said = self._said[kind].to(images.device)
        if self._how == "mean":
            return F.normalize(said.mean(dim=0, keepdim=True), dim=1).expand(len(images), *said.shape[1:])
        return said[[_number(image) % len(said) for image in images]]


@functools.cache
def _other_photos() -> Images:
    """The middle of each bundled sample, degraded in each way: 20 photos."""
    degraded = []
    for name in SAMPLES:
        clean = to_images(read_image(f"sample:{name}@{CROP_SIDE_PX}").samples)
        degraded += [degrade_images(clean, spec, generator=generator_for(0, name, spec))[0] for spec in DEGRADATIONS]
    return torch.cat(degraded)


def _number(image: Tensor) -> int:
    """Large, and the same for the same pixels."""
    pixels = image.detach().float().cpu().contiguous().numpy()
    return int.from_bytes(hashlib.sha256(pixels.data).digest()[:8], "big")
