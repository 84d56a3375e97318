"""Where the two frozen networks of a run come from: the diffusion model, and VGG-16 for the feature losses."""

from pathlib import Path

from restorekit.errors import DependencyError, ModelError
from restorekit.priors.compact_diffusion import load_compact_prior
from restorekit.priors.pixel_diffusion import DiffusionPrior, load_pixel_diffusion
from restorekit.zeroair.losses import FeatureDistance, load_vgg16_distance
from restorekit.zeroair.settings import ZeroAIRSettings

__all__ = ["load_features", "load_prior"]

SHIPPED = str(Path(__file__).parents[1] / "weights" / "zeroair.safetensors")
"""The compact diffusion model of this package."""

SINGLE_FILES = {".pt", ".pth", ".ckpt", ".bin", ".safetensors"}


def load_prior(settings: ZeroAIRSettings) -> DiffusionPrior:
    """The diffusion model that the settings name, or else the one that ships; on the CPU.

    Raises:
        ModelError: a file of another layout.
        DependencyError: a folder or hub name that cannot be had.
    """
    if settings.weights is not None:
        return load_compact_prior(settings.weights)
    if settings.prior is None:
        return load_compact_prior(SHIPPED)
    if Path(settings.prior).suffix in SINGLE_FILES:
        raise ModelError(
            f"config.prior: expected a folder in diffusers' layout or a hub name, got the file {settings.prior}; a "
            "checkpoint of guided-diffusion becomes a folder by restorekit.priors.adm.convert_adm, and a file of "
            "restorekit zeroair train is named by config.weights"
        )
    return load_pixel_diffusion(settings.prior, revision=settings.revision)


def load_features(where: str) -> FeatureDistance:
    """VGG-16 up to relu2_2.

    Args:
        where: a .safetensors file with torchvision's names, or a repository on the Hugging Face hub that holds one.

    Raises:
        ModelError: the file is absent, damaged, or lacks these layers.
        DependencyError: it is not on the hub, or there is no network.
    """
    if Path(where).suffix == ".safetensors":
        return load_vgg16_distance(Path(where))
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download(where, "model.safetensors")
    except Exception as error:  # the hub has a dozen kinds, from a bad name to no network
        raise DependencyError(
            f"config.vgg16: expected VGG-16 at {where} on the hub, got {type(error).__name__}; give a .safetensors "
            "file with torchvision's names, or take a preset without feature losses (blind, fast)"
        ) from error
    return load_vgg16_distance(Path(path))
