"""The networks that are measured: ours as restorers and bare, and spandrel's where it is installed."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from limits import autocast
from photos import make_photo
from torch import Tensor, nn

import restorekit
from restorekit.core.networks import NetworkRestorer, configure

__all__ = ["OURS", "SPANDREL", "bare_call", "our_restorer", "photo_image", "spandrel_network"]

NAFNET_32: dict[str, Any] = {
    "width": 32,
    "encoder_blocks": (2, 2, 4, 8),
    "middle_blocks": 12,
    "decoder_blocks": (2, 2, 2, 2),
}

OURS = ("base", "nafnet-32")
"""Names in the tables: the shipped model, and NAFNet as trained for SIDD, with fresh weights."""

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
        "base",
        {
            "img_size": 128, "window_size": 8, "embed_dim": 180, "depths": [6] * 6, "num_heads": [6] * 6,
            "mlp_ratio": 2.0, "upscale": 1, "upsampler": "", "resi_connection": "1conv",
        },
    ),
}  # fmt: skip
"""Class to (module, which of ours it is measured against, arguments): SIDD's NAFNet-32; SwinIR for colour denoising."""

Call = Callable[[], Tensor]


def our_restorer(name: str, precision: str) -> NetworkRestorer:
    """One of ``OURS`` on the CPU."""
    if name == "nafnet-32":
        restorer = NetworkRestorer(name, configure("nafnet", NAFNET_32))
        restorer.to(torch.device("cpu"), precision)
        return restorer
    shipped = restorekit.load(name, device="cpu", precision=precision)
    assert isinstance(shipped, NetworkRestorer)
    return shipped


def bare_call(module: nn.Module, images: Tensor, precision: str) -> Call:
    """The module and nothing else: no checks, no copies, no conversion; autocast as the restorer has it."""

    def run() -> Tensor:
        with torch.inference_mode(), autocast(precision):
            restored: Tensor = module(images)
        return restored

    return run


def photo_image(side: int) -> Tensor:
    """(1, 3, side, side) in [0, 1] of a real photo, channels innermost as ``NetworkRestorer`` runs them."""
    pixels = torch.from_numpy(make_photo(0, height=side, width=side))
    return pixels.permute(2, 0, 1)[None].float().div(255).contiguous(memory_format=torch.channels_last)


def spandrel_network(name: str) -> nn.Module | None:
    """One of ``SPANDREL`` as spandrel builds it, in evaluation mode; None where spandrel is not installed."""
    from importlib import import_module

    module, _, arguments = SPANDREL[name]
    if find_spec("spandrel") is None:
        return None
    network: nn.Module = getattr(import_module(module), name)(**arguments)
    return network.eval()
