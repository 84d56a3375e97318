"""DenseUNet starts as the identity and its receptive field is exactly what its configuration says."""

import numpy as np
import pytest
import torch

from restorekit.core.image.tiling import TilingOptions, restore_samples
from restorekit.core.networks import NetworkRestorer, configure, count_parameters, network_restorer
from restorekit.core.networks.measure import count_macs
from restorekit.core.networks.tone import apply_curves
from restorekit.errors import ModelError


def positive_network(config):
    """Weights and biases above 0: for images above 0.5 every ReLU is open and no two paths cancel."""
    network = config.build().double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.rand_like(parameter) * 0.1 + 0.01)
    return network


def probed_radius(config):
    """Largest distance from an output pixel to an input pixel with a gradient, over one cell of the strides."""
    network, cell = positive_network(config), config.multiple_of
    half = (config.receptive_field_px // cell + 2) * cell
    radii = []
    for place in range(half, half + cell):
        images = (0.5 + 0.5 * torch.rand(1, 3, cell, 2 * half + cell, dtype=torch.float64)).requires_grad_()
        network(images)[0, :, 0, place].sum().backward()
        touched = images.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
        radii += [place - int(touched.min()), int(touched.max()) - place]
    return max(radii)


@pytest.mark.parametrize(
    ("widths", "blocks"),
    [((2,), (0,)), ((2,), (3,)), ((2, 2), (0, 1)), ((2, 3), (2, 1)), ((2, 2, 3), (1, 0, 2)), ((2, 2, 2), (2, 2, 4))],
)
def test_receptive_field_is_what_gradients_reach(widths, blocks) -> None:
    config = configure("dense_unet", {"widths": widths, "blocks": blocks})
    assert probed_radius(config) == config.receptive_field_px


def test_fresh_network_returns_its_input() -> None:
    images = torch.rand(2, 3, 16, 24)
    assert torch.equal(configure("dense_unet").build()(images), images)


def test_every_weight_learns_once_the_head_has_moved() -> None:
    torch.manual_seed(0)
    network = configure("dense_unet", {"widths": (4, 6), "blocks": (1, 1)}).build()
    torch.nn.init.normal_(network.head.weight)
    network(torch.rand(2, 3, 16, 16)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in network.parameters())


def test_tiled_equals_whole() -> None:
    config = configure("dense_unet", {"widths": (4, 6), "blocks": (1, 1)})
    restorer = NetworkRestorer("dense", config)
    torch.nn.init.normal_(restorer.module.head.weight, std=0.1)
    photo = np.random.default_rng(0).random((150, 201, 3), dtype=np.float32)
    whole = restore_samples(restorer, photo)
    tile_px = 2 * (config.receptive_field_px + 16) + 64
    assert tile_px < 200
    np.testing.assert_allclose(restore_samples(restorer, photo, TilingOptions(tile_px=tile_px)), whole, atol=1e-5)
    assert np.abs(whole - photo).max() > 0.01


def test_default_fits_the_package() -> None:
    config = configure("dense_unet")
    assert 1_000_000 < count_parameters(config) <= 5_800_000
    assert count_macs(config, height_px=1024, width_px=1024) / 1.048576e9 < 200  # the CPU budget of 0.45 MP/s


def test_tones_are_applied_before_the_network_and_are_for_colour() -> None:
    options = {"widths": (4, 6), "blocks": (1, 1)}
    network = configure("dense_unet", options | {"tones": True}).build()
    torch.nn.init.normal_(network.toner.curves.weight, std=0.05)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    images = torch.rand(2, 3, 16, 24)
    toned = apply_curves(images, network.toner(images))
    assert (toned - images).abs().max() > 0.01
    torch.testing.assert_close(network(images), network.restore(toned, None))
    with pytest.raises(ModelError, match="channels: expected 3, since tone curves are for RGB, got 1"):
        configure("dense_unet", options | {"tones": True, "channels": 1})


def test_tiles_share_the_tones_of_the_whole_photo() -> None:
    restorer = network_restorer("toned", configure("dense_unet", {"widths": (4,), "blocks": (1,), "tones": True}))
    torch.manual_seed(0)
    restorer._module = restorer.config.build().eval()
    torch.nn.init.normal_(restorer._module.toner.curves.weight, std=0.05)
    torch.nn.init.normal_(restorer._module.head.weight, std=0.1)
    photo = np.random.default_rng(0).random((90, 130, 3), dtype=np.float32)
    photo[:45] *= 0.2  # a tile by itself would be toned otherwise
    whole = restore_samples(restorer, photo)
    np.testing.assert_allclose(restore_samples(restorer, photo, TilingOptions(tile_px=48)), whole, atol=1e-5)
    assert np.abs(whole - photo).max() > 0.01
