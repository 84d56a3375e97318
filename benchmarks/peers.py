"""The networks that are measured: ours as restorers and bare, and spandrel's where it is installed."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from limits import autocast
from torch import Tensor, nn

from restorekit.core.networks import NetworkRestorer, configure

__all__ = ["OURS", "SPANDREL", "bare_call", "our_restorer", "random_images", "spandrel_network"]

DENSE_UNET: dict[str, Any] = {"widths": (48, 96, 192), "blocks": (1, 2, 4)}
NAFNET_32: dict[str, Any] = {
    "width": 32,
    "encoder_blocks": (2, 2, 4, 8),
    "middle_blocks": 12,
    "decoder_blocks": (2, 2, 2, 2),
}

OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "dense_unet": ("dense_unet", DENSE_UNET),
    "nafnet-32": ("nafnet", NAFNET_32),
}
"""Name in the tables to (network, options): that of recipe base/noise, and NAFNet as trained for SIDD."""

SPANDREL: dict[str, tuple[str, str, dict[str, Any]]] = {
    "NAFNet": (
        "spandrel.architectures.NAFNet",
        "nafnet-32",
        {
            "img_channel": 3, "width": 32,
            "enc_blk_nums": [2, 2, 4, 8], "middle_blk_num": 12, "dec_blk_nums": [2, 2, 2, 2],
        },
    ),
    "SwinIR": (
        "spandrel.architectures.SwinIR",
        "dense_unet",
        {
            "img_size": 128, "window_size": 8, "embed_dim": 180, "depths": [6] * 6, "num_heads": [6] * 6,
            "mlp_ratio": 2.0, "upscale": 1, "upsampler": "", "resi_connection": "1conv",
        },
    ),
}  # fmt: skip
"""Class to (module, which of ours it is measured against, arguments): SIDD's NAFNet-32; SwinIR for colour denoising."""

Call = Callable[[], Tensor]


def our_restorer(name: str, precision: str) -> NetworkRestorer:
    """One of ``OURS`` on the CPU, with fresh weights: speed does not depend on them."""
    network, options = OURS[name]
    restorer = NetworkRestorer(name, configure(network, options))
    restorer.to(torch.device("cpu"), precision)
    return restorer


def bare_call(module: nn.Module, images: Tensor, precision: str) -> Call:
    """The module and nothing else: no checks, no copies, no conversion; autocast as the restorer has it."""

    def run() -> Tensor:
        with torch.inference_mode(), autocast(precision):
            restored: Tensor = module(images)
        return restored

    return run


def random_images(side: int, *, batch: int = 1) -> Tensor:
    """(batch, 3, side, side) in [0, 1], channels innermost as ``NetworkRestorer`` runs them."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, 3, side, side, generator=generator).contiguous(memory_format=torch.channels_last)


def spandrel_network(name: str) -> nn.Module | None:
    """One of ``SPANDREL`` as spandrel builds it, in evaluation mode; None where spandrel is not installed."""
    from importlib import import_module

    module, _, arguments = SPANDREL[name]
    if find_spec("spandrel") is None:
        return None
    network: nn.Module = getattr(import_module(module), name)(**arguments)
    return network.eval()
