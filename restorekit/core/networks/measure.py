"""How large a network is and what it costs, without its weights: on PyTorch's meta device nothing is computed."""

import math
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from restorekit.core.networks.base import NetworkConfig, PlainImages

__all__ = ["count_macs", "count_parameters", "peak_bytes_per_pixel", "working_memory"]


def count_parameters(config: NetworkConfig) -> int:
    """Trainable numbers of the network, exact."""
    return sum(parameter.numel() for parameter in _on_meta(config).parameters())


def count_macs(config: NetworkConfig, *, height_px: int = 256, width_px: int = 256) -> int:
    """Multiply-accumulate operations of convolutions and matrix products for one image, exact; others do not count.

    Papers differ in what they count: many leave out the matrix products of attention, which are in here.
    """
    from torch.utils.flop_counter import FlopCounterMode  # imports triton, 80 MB, which loading a model does not need

    network = _on_meta(config)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.empty(1, config.planes[0], height_px, width_px, device="meta"))
    return int(counter.get_total_flops()) // 2


def working_memory(config: NetworkConfig, *, side_px: int = 128) -> int:
    """Largest number of bytes, per input pixel, that input, activations and output hold at once in float32."""
    side = -(-side_px // config.multiple_of) * config.multiple_of
    return peak_bytes_per_pixel(_on_meta(config), torch.empty(1, config.planes[0], side, side, device="meta"))


def peak_bytes_per_pixel(function: Callable[[PlainImages], Any], images: PlainImages) -> int:
    """Largest number of bytes, per pixel of ``images``, that they and every tensor made from them hold at once.

    The sizes of all tensors alive at each moment are added up. What a library needs inside one call is not seen.
    """
    with torch.inference_mode(), _LiveBytes() as live:
        function(images)
    peak: int = live.peak + images.untyped_storage().nbytes()
    pixels: int = images.shape[0] * images.shape[2] * images.shape[3]
    return math.ceil(peak / pixels)


def _on_meta(config: NetworkConfig) -> nn.Module:
    with torch.device("meta"):
        return config.build().eval()


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds the size of each new tensor storage and takes it off when the storage dies."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.current = 0
        self.peak = 0
        self._known: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to skip its compiler, PyTorch would import it, 150 MB and a second for every model that is loaded."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, list | tuple) else (result,):
            if isinstance(tensor, Tensor):
                self._count(tensor)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        self.current += storage.nbytes()
        self.peak = max(self.peak, self.current)
        weakref.finalize(storage, self._forget, key, storage.nbytes())

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.current -= size
