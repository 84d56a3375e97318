"""Working memory is what one can count by hand."""

import torch

from restorekit.core.networks import count_parameters
from restorekit.core.networks.dense_unet import DenseUNetConfig
from restorekit.core.networks.measure import count_macs, peak_bytes_per_pixel, working_memory
from restorekit.core.networks.nafnet import NAFNetConfig


def test_peak_counts_what_is_alive_at_once() -> None:
    images = torch.zeros(1, 3, 4, 5)  # 12 bytes for each pixel

    def chain(x):
        y = torch.cat([x, x])  # 24 more: 36 alive
        y = y.sum(dim=0)  # 12 more: 48 alive, then the 24 die
        return y.clone()  # 36 alive

    assert peak_bytes_per_pixel(chain, images) == 48


def test_views_take_no_memory() -> None:
    assert (
        peak_bytes_per_pixel(lambda x: x.permute(0, 2, 3, 1).reshape(1, -1).chunk(2), torch.zeros(1, 1, 4, 4)) == 4 * 2
    )


def test_working_memory_of_a_network_is_what_its_tensors_take() -> None:
    config = DenseUNetConfig(widths=(16,), blocks=(0,))
    image, features = 3 * 4, 16 * 4 // 4  # bytes per pixel; features are at half resolution
    assert working_memory(config) == image + features + 2 * image  # at the end: input, features, residual, sum


def test_measuring_a_network_makes_no_weights() -> None:
    giant = NAFNetConfig(width=4096)  # about 2 TB of weights
    assert count_parameters(giant) > 4e11
    assert count_macs(giant, height_px=16, width_px=16) > 0
    assert working_memory(giant) > 4096 * 4 * 2
