"""Zero-DCE has the published size, bends values as the paper says, and sees seven pixels far."""

import numpy as np
import pytest
import torch

from restorekit.core.image.tiling import TilingOptions, restore_samples
from restorekit.core.networks import PUBLISHED, NetworkRestorer, configure, count_macs, count_parameters
from restorekit.core.networks.zero_dce import ZeroDCEConfig, apply_curves

TINY = {"width": 4, "iterations": 2}


def test_zero_dce_has_the_published_size() -> None:
    """79,416 parameters and 5.21 GFLOPs at 256x256 in the paper, which counts a multiply-accumulate as one."""
    config = configure(*PUBLISHED["zero-dce"])
    inputs, outputs = (3, 32, 32, 32, 64, 64, 64), (32, 32, 32, 32, 32, 32, 24)
    weights = sum(9 * i * o for i, o in zip(inputs, outputs, strict=True))
    assert count_parameters(config) == weights + sum(outputs) == 79_416
    assert count_macs(config) == weights * 256**2
    assert count_macs(config) / 1e9 == pytest.approx(5.21, rel=0.005)


def test_curves_are_applied_value_by_value() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 2, 3, dtype=torch.float64, generator=generator)
    curves = 2 * torch.rand(2, 12, 2, 3, dtype=torch.float64, generator=generator) - 1
    expected = images.clone()
    for image, plane, row, column in np.ndindex(*images.shape):
        value = float(images[image, plane, row, column])
        for iteration in range(4):
            value += float(curves[image, 3 * iteration + plane, row, column]) * value * (1 - value)
        expected[image, plane, row, column] = value
    torch.testing.assert_close(apply_curves(images, curves), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("alpha", [-1.0, -0.3, 0.0, 0.7, 1.0])
def test_curves_keep_the_range_and_the_order(alpha: float) -> None:
    ramp = torch.linspace(0, 1, 101, dtype=torch.float64).reshape(1, 1, 1, -1)
    bent = apply_curves(ramp, torch.full((1, 8, 1, 101), alpha, dtype=torch.float64))
    assert bent[..., 0] == 0
    assert bent[..., -1] == 1
    assert (bent.diff() >= 0).all()


def test_fresh_network_hardly_changes_its_input_and_every_weight_learns() -> None:
    torch.manual_seed(0)
    network = ZeroDCEConfig(**TINY).build()
    images = torch.rand(2, 3, 9, 11)
    restored = network(images)
    assert (restored - images).abs().max() < 0.01
    restored.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_stages_hold_what_went_in_what_came_out_and_the_curves() -> None:
    network = ZeroDCEConfig(**TINY, channels=1).build()
    images = torch.rand(2, 1, 5, 7)
    ((given, restored, curves),) = network.enhancement_stages(images)
    assert given is images
    assert curves.shape == (2, 2, 5, 7)
    assert curves.abs().max() <= 1
    torch.testing.assert_close(restored, network(images))


def test_receptive_field_is_what_gradients_reach() -> None:
    torch.manual_seed(0)
    config = ZeroDCEConfig(**TINY)
    network = config.build().double()
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, 0.01, 0.1)  # every ReLU is open and no two paths cancel
    images = torch.rand(1, 3, 1, 33, dtype=torch.float64, requires_grad=True)
    network.curves(images)[..., 16].sum().backward()
    touched = images.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert [int(touched.min()), int(touched.max())] == [16 - config.receptive_field_px, 16 + config.receptive_field_px]


def test_tiled_equals_whole_at_odd_sizes() -> None:
    restorer = NetworkRestorer("curves", ZeroDCEConfig(**TINY))
    for parameter in restorer.module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    photo = np.random.default_rng(0).random((97, 131, 3), dtype=np.float32)
    whole = restore_samples(restorer, photo)
    np.testing.assert_allclose(restore_samples(restorer, photo, TilingOptions(tile_px=64)), whole, atol=1e-5)
    assert np.abs(whole - photo).max() > 0.01
