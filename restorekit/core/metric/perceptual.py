"""LPIPS: a distance between deep features that was fitted to what people see.

Zhang, Isola, Efros, Shechtman, Wang 2018 (arXiv:1801.03924), version 0.1 of the ``lpips`` package.

- The package brings the fitted linear heads; the ImageNet weights of the trunk are torchvision's. They are looked for
  when the metric is made, so that nobody restores a thousand images and then learns that a file is missing.
- The network is never tried unless the user asks for it: by default a missing file is an error at once.
"""

import os
import warnings
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.core.metric.preparation import PEAK, Reference, prepare_pair
from restorekit.core.metric.protocol import MetricProtocol, check_protocol, default_protocol, format_address
from restorekit.errors import DependencyError, ImageError

__all__ = ["DOWNLOAD_VARIABLE", "LPIPS", "TRUNKS"]

DOWNLOAD_VARIABLE = "RESTOREKIT_DOWNLOAD"
"""Environment variable: "1" allows the trunk's weights to be downloaded."""

TRUNKS = {
    "alex": ("alexnet", "AlexNet_Weights", "alexnet-owt-7be5be79.pth", 31),
    "vgg": ("vgg16", "VGG16_Weights", "vgg16-397923af.pth", 16),
    "squeeze": ("squeezenet1_1", "SqueezeNet1_1_Weights", "squeezenet1_1-b8a52dc0.pth", 17),
}
"""By LPIPS name: torchvision's model, its weights' enumeration, their file, and the shortest side in px."""


class LPIPS:
    """Learned perceptual image patch similarity: 0 for identical images, larger is worse.

    Zhang et al. 2018, eq. 1: squared differences of unit-length features, weighted per channel, averaged over
    positions, summed over layers.

    Args:
        protocol: ``network`` is alex (the package's default and the usual table entry), vgg or squeeze.
        backbone: the trunk's weights in torchvision's layout, .pth or .safetensors; None: torch hub's folder.
        download: allow torchvision's weights to be downloaded into that folder; also allowed by RESTOREKIT_DOWNLOAD=1.

    Raises:
        DependencyError: the trunk's weights are not there and may not be downloaded.

    Differs from the paper: no.
    """

    name: ClassVar[str] = "lpips"
    description: ClassVar[str] = (
        "learned perceptual distance (Zhang 2018, v0.1); lower is better, 0 for identical images"
    )
    unit: ClassVar[str] = ""
    decimals: ClassVar[int] = 4
    higher_is_better: ClassVar[bool] = False
    needs_reference: ClassVar[bool] = True

    def __init__(
        self,
        protocol: MetricProtocol | None = None,
        *,
        backbone: str | os.PathLike[str] | None = None,
        download: bool = False,
    ) -> None:
        self.protocol = check_protocol(self.name, protocol or default_protocol(self.name))
        self._trunk = str(self.protocol.network)
        self._backbone = _find_backbone(self._trunk, None if backbone is None else Path(backbone), download=download)
        self._network: nn.Module | None = None

    @property
    def address(self) -> str:
        """Name and protocol, for example ``lpips[rgb|per-image|u8|crop0|net=alex]``."""
        return format_address(self.name, self.protocol)

    def score(self, restored: Images, reference: Reference | None) -> Float[Tensor, "batch"]:
        """One value per image, without unit; the network moves to the images' device.

        Raises:
            ImageError: no reference, sizes that differ, or an image too small for the trunk.
            DependencyError: lpips or torchvision cannot be imported, or the weights do not fit the trunk.
        """
        first, second = prepare_pair(restored, reference, self.protocol, name=self.name)
        height, width = first.shape[-2:]
        smallest = TRUNKS[self._trunk][3]
        if min(height, width) < smallest:
            raise ImageError(f"lpips: expected at least {smallest} px a side for {self._trunk}, got {width}x{height}")
        if self._network is None:
            self._network = _build(self._trunk, self._backbone)
        network = self._network.to(first.device)
        half = PEAK / 2
        values: Tensor = network(first.float() / half - 1.0, second.float() / half - 1.0)
        return values.flatten()


def _find_backbone(trunk: str, backbone: Path | None, *, download: bool) -> Path | None:
    """The file with the trunk's weights; None where torchvision is to download it on first use."""
    model, _, file_name, _ = TRUNKS[trunk]
    if backbone is not None:
        if not backbone.is_file():
            raise DependencyError(f"lpips: expected {model} weights at {backbone}, got no such file; check the path")
        return backbone
    cached = Path(torch.hub.get_dir()) / "checkpoints" / file_name
    if cached.is_file():
        return cached
    if download or os.environ.get(DOWNLOAD_VARIABLE) == "1":
        return None
    raise DependencyError(
        f"lpips: expected torchvision's {model} weights at {cached}, got no such file; run once with "
        f"{DOWNLOAD_VARIABLE}=1 and network access, copy {file_name} there from another machine, or pass "
        f"backbone=FILE (.pth or .safetensors)"
    )


def _build(trunk: str, backbone: Path | None) -> nn.Module:
    """The lpips network with its fitted heads and the trunk's weights, frozen."""
    try:
        import lpips
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision of another build than torch
        raise DependencyError(
            f"lpips: expected the packages lpips and torchvision, got: {error}; install both"
        ) from error
    weights = _download(trunk) if backbone is None else _read(backbone)
    # Random initialisation is wasted work here, and must not move the user's random state.
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # torchvision's "pretrained" is deprecated, lpips still passes it
        network: nn.Module = lpips.LPIPS(net=trunk, version="0.1", pnet_rand=True, verbose=False)
    _load_trunk(network.get_submodule("net"), weights, where=str(backbone or TRUNKS[trunk][0]), model=TRUNKS[trunk][0])
    return network.eval().requires_grad_(False)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling a broken file raises nearly anything
        raise DependencyError(f"{path}: expected a state dict, got: {error}; fetch the file again") from error
    return weights


def _download(trunk: str) -> dict[str, Tensor]:
    model, enumeration, _, _ = TRUNKS[trunk]
    import torchvision.models

    weights: Any = getattr(torchvision.models, enumeration).IMAGENET1K_V1
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise DependencyError(
            f"lpips: expected to download torchvision's {model} weights, got: {error}; pass backbone=FILE"
        ) from error
    return state


def _load_trunk(trunk: nn.Module, weights: dict[str, Tensor], *, where: str, model: str) -> None:
    """Copy torchvision's ``features.3.weight`` (or ``3.weight``) to lpips' ``slice2.3.weight``."""
    available = {key.removeprefix("features."): value for key, value in weights.items()}
    wanted = {key: key.partition(".")[2] for key in trunk.state_dict()}
    absent = sorted(key for key in wanted.values() if key not in available)
    if absent:
        raise DependencyError(
            f"{where}: expected torchvision's {model} layout, got no features.{absent[0]} ({len(absent)} keys absent)"
        )
    try:
        trunk.load_state_dict({key: available[theirs] for key, theirs in wanted.items()})
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise DependencyError(f"{where}: expected torchvision's {model} layout, got: {reason}") from error
