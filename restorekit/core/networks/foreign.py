"""Restoration checkpoints of other projects, through spandrel (optional: ``pip install "restorekit[zoo]"``).

- spandrel finds architecture and hyper-parameters in the file, and reads pickles with a restricted unpickler.
- Architectures with restrictive licences (package ``spandrel_extra_arches``) are there if the user installed them.
"""

import importlib
import importlib.util
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from restorekit.core.networks.base import PlainImages
from restorekit.core.networks.measure import peak_bytes_per_pixel
from restorekit.core.networks.restorer import MEMORY_MARGIN, UNBOUNDED_HALO_PX, ModuleRestorer
from restorekit.core.restorer import InputSpec
from restorekit.errors import DependencyError, ModelError

__all__ = ["SpandrelRestorer", "load_foreign"]


def load_foreign(path: Path) -> "SpandrelRestorer":
    """A restorer for a checkpoint of any architecture that spandrel knows and that keeps the size of the image.

    Args:
        path: .pth, .pt, .ckpt or .safetensors.

    Raises:
        DependencyError: spandrel is not installed.
        ModelError: no such file; unknown architecture; a network that enlarges, needs a mask, or takes other planes
            than RGB or gray.
    """
    return SpandrelRestorer(path, _read(path))


class SpandrelRestorer(ModuleRestorer):
    """A network that spandrel built; made by ``load_foreign``. Results are clamped to [0, 1] by spandrel.

    A precision that spandrel does not vouch for falls back to float32, see ``precision``.

    Args:
        path: the checkpoint, read again when a pickled restorer wakes up.
        descriptor: spandrel's ``ImageModelDescriptor`` of it.
    """

    def __init__(self, path: Path, descriptor: Any) -> None:
        self.path = path
        self.architecture: str = descriptor.architecture.name
        self.purpose: str = descriptor.purpose
        self.parameters: int = sum(parameter.numel() for parameter in descriptor.model.parameters())
        self._precisions = {
            "float32": True,
            "bfloat16": descriptor.supports_bfloat16,
            "float16": descriptor.supports_half,
        }
        planes = (descriptor.input_channels, descriptor.output_channels)
        super().__init__(f"spandrel:{path}", planes, _spec(descriptor))
        self._module = _Described(descriptor).eval()

    def load(self) -> nn.Module:
        """The network on the CPU.

        Raises:
            DependencyError: spandrel is not installed here.
            ModelError: the file is gone or was replaced by one that cannot be used.
        """
        return _Described(_read(self.path))

    def to(self, device: torch.device, precision: str = "float32") -> "SpandrelRestorer":
        """This restorer, moved; a precision that the architecture does not support becomes float32."""
        super().to(device, precision if self._precisions.get(precision, True) else "float32")
        return self


class _Described(nn.Module):
    """spandrel's descriptor as a module: it calls the network as its architecture wants it and clamps the result."""

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.model = descriptor.model
        self.descriptor = descriptor

    def forward(self, images: PlainImages) -> PlainImages:
        return torch.cat([self.descriptor(image[None]) for image in images])  # a descriptor takes one image at a time


def _read(path: Path) -> Any:
    """spandrel's descriptor of a file, refused unless it restores whole images at their own size."""
    spandrel = _import_spandrel()
    if not path.is_file():
        raise ModelError(f"{path}: expected a checkpoint here, got nothing; check the path")
    try:
        descriptor = spandrel.ModelLoader().load_from_file(path)
    except spandrel.UnsupportedModelError:
        raise ModelError(
            f"{path}: expected a checkpoint of an architecture that spandrel knows, got another; architectures with "
            "restrictive licences need: pip install spandrel_extra_arches"
        ) from None
    except Exception as error:  # whatever a damaged or foreign file makes a deserialiser raise
        raise ModelError(f"{path}: expected a checkpoint that spandrel can read, got {_words(error)}") from error
    if not isinstance(descriptor, spandrel.ImageModelDescriptor):
        raise ModelError(
            f"{path}: expected a network that takes an image, got {descriptor.purpose}, which needs a mask"
        )
    if descriptor.scale != 1:
        raise ModelError(
            f"{path}: expected a network that keeps the size of the image, got {descriptor.architecture.name} for "
            f"{descriptor.scale}x super-resolution; restorekit restores at the same size only"
        )
    return descriptor


def _import_spandrel() -> Any:
    try:
        spandrel = importlib.import_module("spandrel")
    except ImportError as error:
        raise DependencyError(
            f'spandrel: expected the package for foreign checkpoints, got {error}; pip install "restorekit[zoo]"'
        ) from None
    if importlib.util.find_spec("spandrel_extra_arches") is not None:
        importlib.import_module("spandrel_extra_arches").install(ignore_duplicates=True)
    return spandrel


def _spec(descriptor: Any) -> InputSpec:
    """What spandrel says of sizes and tiling, and the memory that a small run takes."""
    sizes = descriptor.size_requirements
    tiling: Literal["overlap", "whole"] = "overlap" if descriptor.tiling.name == "SUPPORTED" else "whole"
    side = -(-max(sizes.minimum, 64) // sizes.multiple_of) * sizes.multiple_of
    used = peak_bytes_per_pixel(descriptor, torch.rand(1, descriptor.input_channels, side, side))
    return InputSpec(
        multiple_of=sizes.multiple_of,
        minimum=max(sizes.minimum, 1),
        tiling=tiling,
        halo=UNBOUNDED_HALO_PX,
        bytes_per_pixel=int(MEMORY_MARGIN * used),
    )


def _words(error: Exception) -> str:
    first_line = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first_line[:200]}"
