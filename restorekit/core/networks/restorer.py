"""Networks as restorers: loaded on first use, placed, run in evaluation mode without gradients.

- Gray networks see the three colours one after the other; a gray image is run once.
- A pickled restorer carries no weights: wherever it wakes up it loads them again, on the same device and precision.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from restorekit.core.image.convention import Images, check_images
from restorekit.core.networks.base import NetworkConfig, PlainImages
from restorekit.core.networks.fold import fold
from restorekit.core.networks.loading import put_weights
from restorekit.core.networks.measure import count_parameters, working_memory
from restorekit.core.placement import resolve_precision
from restorekit.core.restorer import InputSpec
from restorekit.core.weights import load_weights
from restorekit.errors import ModelError

__all__ = ["UNBOUNDED_HALO_PX", "ModuleRestorer", "NetworkRestorer", "network_spec"]

UNBOUNDED_HALO_PX = 64
"""Halo, in px, of networks whose receptive field is the whole tile, or unknown: tiled is not quite whole."""

MEMORY_MARGIN = 1.5  # libraries and allocator need 1.2 to 1.5 times the tensors alive: process peaks of three networks


class ModuleRestorer(ABC):
    """Any module on images as a ``Restorer``; a subclass says how it is loaded.

    Args:
        name: as given to ``--model``.
        planes: colour planes that the module takes and gives: (3, 3), or (1, 1) for gray networks.
        spec: what the module asks of its input.

    Raises:
        ModelError: a module for other planes, which no RGB image fits.
    """

    channels_last: ClassVar[bool] = False
    """Whether weights and images are laid out with the channels innermost, which suits most convolutions."""

    def __init__(self, name: str, planes: tuple[int, int], spec: InputSpec) -> None:
        if planes not in {(3, 3), (1, 1)}:
            raise ModelError(
                f"{name}: expected a network from 3 planes to 3 (RGB) or from 1 to 1 (gray), got {planes[0]} to "
                f"{planes[1]}; it cannot restore a photo, only be built and called directly"
            )
        self.name = name
        self.planes = planes
        self.spec = spec
        self.device = torch.device("cpu")
        self.precision = "float32"
        self._module: nn.Module | None = None

    @abstractmethod
    def load(self) -> nn.Module:
        """The module with its weights, on the CPU, as it is trained and written to files."""

    def to(self, device: torch.device, precision: str = "float32") -> "ModuleRestorer":
        """This restorer, moved; weights stay float32, bfloat16 and float16 are autocast's.

        Raises:
            UsageError: an unknown precision, or float16 on a CPU.
        """
        self.precision = resolve_precision(precision, device)
        self.device = torch.device(device)
        if self._module is not None:
            self._module = self._placed(self._module)
        return self

    def restore(self, degraded: Images, *, generator: torch.Generator | None = None) -> Images:  # noqa: ARG002
        """Restore a batch on this restorer's device.

        Args:
            degraded: (batch, 3, height, width), sizes as ``spec`` says.
            generator: not used, nothing here is random.

        Returns:
            float32, same shape and device as ``degraded``, not clamped; no gradient runs back to ``degraded``, but the
            result may enter a computation that is differentiated.

        Raises:
            ImageError: ``degraded`` is no finite floating point batch of RGB images.
            ModelError: the weights cannot be loaded, or the module gave another shape.
        """
        check_images(degraded, self.name)
        module = self.module
        with torch.inference_mode():
            images = degraded.to(self.device, torch.float32)
            restored = self._run(module, images) if self.planes == (3, 3) else self._run_gray(module, images)
            restored = restored.to(degraded.device)
        return restored if torch.is_inference_mode_enabled() else restored.clone()

    @property
    def module(self) -> nn.Module:
        """The loaded module, in evaluation mode on ``device``."""
        if self._module is None:
            self._module = self._placed(self.load().eval())
        return self._module

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_module": None}

    def _placed(self, module: nn.Module) -> nn.Module:
        module = module.to(self.device)
        return module.to(memory_format=torch.channels_last) if self.channels_last else module

    def _run(self, module: Callable[[PlainImages], Any], images: PlainImages) -> PlainImages:
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        half = self.precision != "float32"
        with torch.autocast(self.device.type, getattr(torch, self.precision) if half else None, enabled=half):
            restored = module(images)
        shape = getattr(restored, "shape", type(restored).__name__)
        if shape != images.shape:
            raise ModelError(f"{self.name}: expected a result of shape {tuple(images.shape)}, got {shape}")
        return restored.float()  # type: ignore[no-any-return]

    def _run_gray(self, module: Callable[[PlainImages], Any], images: Images) -> Images:
        if bool((images[:, :1] == images).all()):
            return self._run(module, images[:, :1]).expand_as(images)
        return torch.cat([self._run(module, plane) for plane in images.chunk(3, dim=1)], dim=1)


class NetworkRestorer(ModuleRestorer):
    """One of our networks with the weights of a file.

    Args:
        name: as given to ``--model``.
        config: which network.
        weights: a ``.safetensors`` file, read on first use; None: fresh weights, the same ones each time.
        spec: what is asked of inputs; None: what the configuration says, see ``network_spec``.

    Raises:
        ModelError: a network for other than 3 or 1 planes.
    """

    channels_last: ClassVar[bool] = True

    def __init__(
        self, name: str, config: NetworkConfig, weights: Path | None = None, spec: InputSpec | None = None
    ) -> None:
        super().__init__(name, config.planes, spec or network_spec(config))
        self.config = config
        self.weights = weights

    @property
    def parameters(self) -> int:
        """Trainable numbers of the network."""
        return count_parameters(self.config)

    @property
    def module(self) -> nn.Module:
        """The loaded network in its cheaper form, see ``fold``, in evaluation mode on ``device``."""
        if self._module is None:
            self._module = self._placed(fold(self.load()))
        return self._module

    def load(self) -> nn.Module:
        """The network on the CPU in float32.

        Raises:
            ModelError: the file is absent, damaged, or holds other tensors than the network.
        """
        if self.weights is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                return self.config.build()
        with torch.device("meta"):
            network = self.config.build()
        put_weights(network, load_weights(self.weights, dtype=torch.float32), str(self.weights))
        return network


def network_spec(config: NetworkConfig) -> InputSpec:
    """Size multiple, halo and working memory of a network, from its configuration; no weights are made."""
    halo = config.receptive_field_px
    return InputSpec(
        multiple_of=config.multiple_of,
        minimum=config.multiple_of,
        tiling="overlap",
        halo=UNBOUNDED_HALO_PX if halo is None else halo,
        bytes_per_pixel=int(MEMORY_MARGIN * working_memory(config)),
    )
