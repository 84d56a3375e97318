"""RoutedUNets: one expert for each photo, chosen and toned by what a thumbnail shows; tiled equals whole."""

import numpy as np
import pytest
import torch

from restorekit.core.image.tiling import TilingOptions, restore_samples
from restorekit.core.networks import configure, count_macs, count_parameters, network_restorer
from restorekit.core.networks.routed_unets import Reading, apply_curves
from restorekit.core.restorer import GlobalRestorer
from restorekit.errors import ModelError

SMALL = {
    "experts": [{"widths": [4, 6], "blocks": [1, 1]}, {"widths": [4], "blocks": [1]}],
    "view_px": 16,
    "router_width": 4,
}


def awake(config):
    """A network whose experts, curves and router all do something, and which sends bright photos to expert 1."""
    torch.manual_seed(0)
    network = config.build()
    for expert in network.experts:
        torch.nn.init.normal_(expert.head.weight, std=0.1)
    torch.nn.init.normal_(network.router.curves.weight, std=0.05)
    torch.nn.init.zeros_(network.router.logits.weight)
    return network.eval()


def test_fresh_network_returns_its_input() -> None:
    images = torch.rand(3, 3, 16, 24)
    assert torch.equal(configure("routed_unets", SMALL).build()(images), images)


def test_each_image_is_restored_by_its_expert_alone() -> None:
    network = awake(configure("routed_unets", SMALL))
    images = torch.rand(4, 3, 16, 24)
    route = torch.tensor([1, 0, 1, 0])
    reading = network.read(images)
    restored = network.restore(images, reading, route)
    for place, expert in enumerate(route.tolist()):
        image = images[place : place + 1]
        toned = apply_curves(image, reading.curves[place : place + 1, expert]) if expert else image
        torch.testing.assert_close(restored[place : place + 1], network.experts[expert](toned))


def test_without_a_route_the_largest_logit_decides() -> None:
    network = awake(configure("routed_unets", SMALL))
    images = torch.rand(2, 3, 16, 16)
    _, curves = network.read(images)
    for logits in ([[1.0, 0.0], [0.0, 1.0]], [[0.0, 2.0], [3.0, 1.0]]):
        reading = Reading(torch.tensor(logits), curves)
        route = torch.tensor(logits).argmax(dim=1)
        assert torch.equal(network.restore(images, reading), network.restore(images, reading, route))


@pytest.mark.parametrize(("lead", "expected"), [(0.0, [0, 1, 1]), (1.0, [0, 0, 1]), (5.0, [0, 0, 0])])
def test_another_expert_must_lead_the_first(lead: float, expected: list[int]) -> None:
    network = configure("routed_unets", SMALL | {"lead": lead}).build()
    logits = torch.tensor([[1.0, 0.0], [0.0, 0.9], [0.0, 4.0]])
    assert network.route_of(Reading(logits, torch.zeros(3, 2, 3, 3))).tolist() == expected


def test_experts_that_are_not_chosen_get_no_gradient() -> None:
    network = awake(configure("routed_unets", SMALL)).train()
    images = torch.rand(2, 3, 16, 16)
    network.restore(images, network.read(images), torch.tensor([1, 1])).square().sum().backward()
    assert all(parameter.grad is None for parameter in network.experts[0].parameters())
    assert all(parameter.grad is not None for parameter in network.experts[1].parameters())
    assert network.router.curves.weight.grad.abs().max() > 0


def test_curves_are_the_formula_and_zero_curves_the_identity() -> None:
    images = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    assert torch.equal(apply_curves(images, torch.zeros(2, 3, 3, dtype=torch.float64)), images)
    curves = torch.tensor([[0.7, 0.1, 0.4]] * 3, dtype=torch.float64).expand(2, 3, 3)
    scaled = np.exp(0.7) * (images.numpy() - 0.1)
    expected = scaled + 0.4 * scaled * (1 - np.clip(scaled, 0, 1))
    np.testing.assert_allclose(apply_curves(images, curves).numpy(), expected, rtol=1e-12)


def test_curves_of_any_size_stay_finite_and_rise() -> None:
    ramp = torch.linspace(0, 1, 64, dtype=torch.float64).expand(1, 3, 1, 64)
    for bend in (-9.0, 9.0):
        toned = apply_curves(ramp, torch.tensor([[[99.0, 0.0, bend]]] * 1, dtype=torch.float64).expand(1, 3, 3))
        assert torch.isfinite(toned).all()
    gentle = apply_curves(ramp, torch.tensor([[[0.0, 0.0, 9.0]]], dtype=torch.float64).expand(1, 3, 3))
    assert (gentle.diff(dim=-1) >= 0).all()


def test_a_photo_costs_one_expert() -> None:
    config = configure("routed_unets", SMALL)
    router = count_macs(config, height_px=64, width_px=64) - count_macs(config.experts[0], height_px=64, width_px=64)
    assert (
        0
        < router
        == count_macs(config, height_px=128, width_px=64) - count_macs(config.experts[0], height_px=128, width_px=64)
    )
    assert count_parameters(config) > sum(count_parameters(expert) for expert in config.experts)


@pytest.mark.parametrize("expert", [0, 1])
def test_tiled_equals_whole(expert: int) -> None:
    restorer = network_restorer("routed", configure("routed_unets", SMALL))
    restorer._module = awake(restorer.config)
    with torch.no_grad():
        restorer._module.router.logits.bias.copy_(torch.tensor([1.0, 0.0] if expert == 0 else [0.0, 1.0]))
    assert isinstance(restorer, GlobalRestorer)
    photo = np.random.default_rng(0).random((152, 204, 3), dtype=np.float32)
    whole = restore_samples(restorer, photo)
    tile_px = 2 * (restorer.spec.halo + 16) + 40
    assert tile_px < 150
    np.testing.assert_allclose(restore_samples(restorer, photo, TilingOptions(tile_px=tile_px)), whole, atol=1e-5)
    batch = torch.from_numpy(photo).permute(2, 0, 1)[None]
    np.testing.assert_allclose(restorer.restore(batch)[0].permute(1, 2, 0).numpy(), whole, atol=1e-5)
    assert np.abs(whole - photo).max() > 0.01


def test_a_batch_is_its_photos_one_by_one() -> None:
    restorer = network_restorer("routed", configure("routed_unets", SMALL))
    restorer._module = awake(restorer.config)
    photos = torch.rand(3, 3, 32, 16)
    alone = torch.cat([restorer.restore(photo) for photo in photos.split(1)])
    torch.testing.assert_close(restorer.restore(photos), alone)


def test_gray_experts_are_refused() -> None:
    with pytest.raises(ModelError, match=r"experts\[0\].channels: expected 3"):
        configure("routed_unets", {"experts": [{"channels": 1}]})
