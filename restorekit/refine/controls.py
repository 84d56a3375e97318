"""Is it the prior that helps? The same module given zeros, another photo's prior, the mean, or chance.

The paper has no such row: its "Large R" removes the prior together with the position. Here the module stays as it was
trained and only the vector changes; a module that does not care scores the same for all. To see what a prior is worth
in training, train once more with ``control = "zero"`` (or "shuffled", "random"), or with ``module.prior_use = "none"``.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from restorekit.core.image.convention import Images, check_images
from restorekit.core.image.tiling import restore_images
from restorekit.core.metric.base import make_metric
from restorekit.core.prior import PriorMaps, PriorVectors
from restorekit.core.randomness import generator_for
from restorekit.errors import UsageError
from restorekit.refine.restorer import RefinedRestorer, prior_of
from restorekit.refine.shapes import Prior

__all__ = ["ConstantPrior", "RandomPrior", "ZeroPrior", "controlled", "score_controls"]


class ConstantPrior:
    """The same vector for every image: the mean of a data set, say.

    Args:
        vector: (dim,); made unit length unless it is zero.
        name: for tables.
    """

    def __init__(self, vector: Float[Tensor, " dim"], name: str = "constant") -> None:
        self.name = name
        self.vector = F.normalize(vector.detach().float().cpu(), dim=0)

    @property
    def dim(self) -> int:
        """Length of the vector."""
        return len(self.vector)

    def to(self, device: torch.device, precision: str = "float32") -> "ConstantPrior":  # noqa: ARG002
        """This prior; there is nothing to move."""
        return self

    def features(self, images: Images) -> PriorVectors:
        """The vector, once for each image.

        Raises:
            ImageError: ``images`` is no finite floating point batch of RGB images.
        """
        check_images(images, self.name)
        return self.vector.to(images.device).expand(len(images), -1)

    def feature_map(self, images: Images) -> PriorMaps:
        """The vector at one place, which is everywhere."""
        return self.features(images)[:, :, None, None]


class ZeroPrior(ConstantPrior):
    """Zeros, of no length at all: the module's mappings have no bias, so nothing of a prior is left.

    Args:
        dim: of the prior that it stands for.
    """

    def __init__(self, dim: int) -> None:
        super().__init__(torch.zeros(dim), "zero")


class RandomPrior(ConstantPrior):
    """A direction by chance for each image; the same image always gets the same one.

    Args:
        dim: of the prior that it stands for.
    """

    def __init__(self, dim: int) -> None:
        super().__init__(torch.zeros(dim), "random")

    def features(self, images: Images) -> PriorVectors:
        """A vector of unit length that follows from the image's pixels and says nothing of them.

        Raises:
            ImageError: ``images`` is no finite floating point batch of RGB images.
        """
        check_images(images, self.name)
        texts = [hashlib.sha256(image.detach().float().cpu().contiguous().numpy().data).hexdigest() for image in images]
        drawn = [torch.randn(self.dim, generator=generator_for(0, text)) for text in texts]
        return F.normalize(torch.stack(drawn), dim=1).to(images.device)


def controlled(prior: Prior, control: str, *, generator: torch.Generator) -> Prior:
    """What a module is given in training in place of the prior, see ``settings.CONTROLS``.

    Args:
        prior: (batch, dim) or maps; for "zero" and "random" only its shape is used.
        control: "true", "zero", "shuffled" or "random".
        generator: on the device of ``prior``.

    Raises:
        UsageError: "shuffled" in a batch of one, which has no other image.
    """
    if control == "shuffled":
        if len(prior) < 2:
            raise UsageError("config.control: expected a batch of at least 2 to shuffle, got 1; raise batch_size")
        return prior.roll(1, dims=0)
    if control == "random":
        drawn = torch.randn(prior.shape, generator=generator, device=prior.device, dtype=prior.dtype)
        return F.normalize(drawn, dim=1)
    return torch.zeros_like(prior) if control == "zero" else prior


def score_controls(
    restorer: RefinedRestorer, pairs: Sequence[tuple[Images, Images]], *, metric: str = "psnr"
) -> Mapping[str, float]:
    """How well a refinement does with its prior and with each control: all from one pass of base and prior.

    Args:
        restorer: one with a prior.
        pairs: (degraded, clean), at least two photos, each a batch of one; sides are multiples of 4 px, and no larger
            than can be refined whole.
        metric: name of a metric of the core.

    Returns:
        Mean over the pairs, in the metric's unit, by row: "base" (without the module), "true", "zero", "shuffled" (each
        photo gets the prior of the photo before it), "mean" (over these photos) and "random".

    Raises:
        UsageError: fewer than two pairs, or a restorer without a prior.
    """
    if len(pairs) < 2 or restorer.prior is None:
        reason = f"{len(pairs)} of them" if restorer.prior is not None else "a restorer without a prior"
        raise UsageError(f"controls: expected a prior and at least 2 photos to exchange it between, got {reason}")
    measure = make_metric(metric)

    def score(answers: Iterable[Images]) -> float:
        scores = [measure.score(answer, clean) for answer, (_, clean) in zip(answers, pairs, strict=True)]
        return float(torch.cat(scores).double().mean())

    restored = [restore_images(restorer.base, degraded) for degraded, _ in pairs]
    priors = [prior_of(restorer.prior, degraded, restorer.config) for degraded, _ in pairs]
    rows = {"base": score(restored)}
    for name, choose in _choices(priors).items():
        answers = (
            restorer.refine(image, degraded, choose(index))
            for index, (image, (degraded, _)) in enumerate(zip(restored, pairs, strict=True))
        )
        rows[name] = score(answers)
    return rows


def _choices(priors: Sequence[Prior]) -> Mapping[str, Callable[[int], Prior]]:
    """For each row, what photo number ``index`` is given."""
    mean = F.normalize(
        torch.stack([prior.flatten(2).mean(2) if prior.ndim == 4 else prior for prior in priors]).mean(0)
    )
    mean = mean[:, :, None, None] if priors[0].ndim == 4 else mean

    def random(index: int) -> Prior:
        drawn = torch.randn(priors[index].shape, generator=generator_for(0, "random prior", index))
        return F.normalize(drawn, dim=1).to(priors[index])

    return {
        "true": lambda index: priors[index],
        "zero": lambda index: torch.zeros_like(priors[index]),
        "shuffled": lambda index: priors[index - 1],
        "mean": lambda _: mean,
        "random": random,
    }
