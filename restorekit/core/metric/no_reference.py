"""NIQE: how far an image's local statistics are from those of clean photos; no reference image is needed.

Mittal, Soundararajan, Bovik 2013, "Making a completely blind image quality analyzer", IEEE SPL 20(3).

- The parameters were fitted here (``benchmarks/fit_niqe.py``) on other photos than the authors', so numbers compare
  with each other and not with published ones; the address says so: ``params=restorekit-1``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import ClassVar

import torch
from jaxtyping import Float
from safetensors.torch import load
from torch import Tensor

from restorekit.core.image.convention import Images
from restorekit.core.metric.natural_scene import FEATURES, PATCH_PX, patch_features
from restorekit.core.metric.preparation import Reference, accumulator, prepare
from restorekit.core.metric.protocol import MetricProtocol, check_protocol, default_protocol, format_address
from restorekit.errors import ImageError, UsageError

__all__ = ["NIQE", "NaturalModel", "fit_natural_model", "packaged_model"]

SHARPNESS_THRESHOLD = 0.75  # of the sharpest patch of the photo; T in section II.B of the paper
PARAMETERS_FILE = "niqe_parameters.safetensors"


@dataclass(frozen=True)
class NaturalModel:
    """A multivariate Gaussian of patch features of clean photos, in float64."""

    mean: Float[Tensor, "features"]
    covariance: Float[Tensor, "features features"]

    def distance(self, features: Float[Tensor, "patches features"]) -> Float[Tensor, ""]:
        """Eq. 10 of the paper: sqrt((m1 - m2)^T ((S1 + S2) / 2)^-1 (m1 - m2)); nan for fewer than two patches."""
        if len(features) < 2:
            return features.new_full((), float("nan"))
        mean, covariance = _gaussian(features)
        difference = self.mean.to(features) - mean
        pooled = (self.covariance.to(features) + covariance) / 2
        squared: Tensor = difference @ torch.linalg.pinv(pooled, hermitian=True) @ difference
        return squared.clamp_min(0.0).sqrt()


class NIQE:
    """Natural image quality evaluator: 0 at best, larger is worse.

    Mittal, Soundararajan, Bovik 2013: 36 features (18 at each of two scales) of every 96 x 96 patch; a Gaussian is
    fitted to them and compared with the Gaussian of clean photos (eq. 10).

    It rises with noise, and with blur until it levels off near sigma 2.5 px.

    Differs from the paper: the parameters. Differs from the authors' code: see ``natural_scene``.
    """

    name: ClassVar[str] = "niqe"
    description: ClassVar[str] = "natural image quality (Mittal 2013, our parameters); lower is better, no reference"
    unit: ClassVar[str] = ""
    decimals: ClassVar[int] = 3
    higher_is_better: ClassVar[bool] = False
    needs_reference: ClassVar[bool] = False

    def __init__(self, protocol: MetricProtocol | None = None) -> None:
        self.protocol = check_protocol(self.name, protocol or default_protocol(self.name))

    @property
    def address(self) -> str:
        """Name and protocol: ``niqe[y-full|per-image|u8|crop0|params=restorekit-1]``."""
        return format_address(self.name, self.protocol)

    def score(self, restored: Images, reference: Reference | None = None) -> Float[Tensor, "batch"]:  # noqa: ARG002
        """One value per image, without unit; nan for an image that is flat nearly everywhere.

        Raises:
            ImageError: fewer than two whole patches fit into the image.
        """
        levels = prepare(restored, self.protocol, name=self.name)
        height, width = levels.shape[-2:]
        if (height // PATCH_PX) * (width // PATCH_PX) < 2:
            raise ImageError(
                f"niqe: expected room for two patches of {PATCH_PX}x{PATCH_PX} px, got {width}x{height}; "
                f"use larger images"
            )
        model = packaged_model()
        with torch.no_grad():
            features, _ = patch_features(levels[:, 0].to(accumulator(levels)))
            # A few 36 x 36 matrices: solved on the CPU, where every build of torch can.
            scores = [model.distance(_complete(of_image.cpu().double())) for of_image in features]
        return torch.stack(scores).to(features)


def fit_natural_model(photos: Iterable[Images]) -> tuple[NaturalModel, int, int]:
    """The model of clean photos: the Gaussian of all their sharp patches.

    Section II.B of the paper: of each photo those patches count whose sharpness (mean local deviation) exceeds 0.75
    times that of its sharpest patch.

    Returns:
        The model, the number of photos, the number of patches.

    Raises:
        UsageError: no more patches than features, so no covariance.

    Differs from the paper: no.
    """
    protocol = default_protocol(NIQE.name)
    chosen: list[Tensor] = []
    for photo in photos:
        levels = prepare(photo, protocol, name=NIQE.name)
        features, sharpness = patch_features(levels[:, 0].double())
        keep = sharpness > SHARPNESS_THRESHOLD * sharpness.amax(dim=1, keepdim=True)
        chosen.append(_complete(features[keep]))
    patches = torch.cat(chosen) if chosen else torch.empty(0, FEATURES)
    if len(patches) <= FEATURES:
        raise UsageError(f"niqe: expected more than {FEATURES} sharp patches, got {len(patches)}; give more photos")
    return NaturalModel(*_gaussian(patches)), len(chosen), len(patches)


@cache
def packaged_model() -> NaturalModel:
    """The parameters that ship with restorekit, ``params=restorekit-1``."""
    tensors = load(resources.files(__package__).joinpath(PARAMETERS_FILE).read_bytes())
    return NaturalModel(tensors["mean"], tensors["covariance"])


def _gaussian(features: Tensor) -> tuple[Tensor, Tensor]:
    return features.mean(dim=0), torch.cov(features.T)


def _complete(features: Float[Tensor, "patches features"]) -> Float[Tensor, "kept features"]:
    """The patches whose features are all defined; a flat patch has none."""
    return features[torch.isfinite(features).all(dim=1)]
