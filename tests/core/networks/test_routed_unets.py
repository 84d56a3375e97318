"""RoutedUNets: one expert for each photo, chosen and toned by what the whole photo shows; tiled equals whole."""

import numpy as np
import pytest
import torch

from restorekit.core.image.patches import cut_patches
from restorekit.core.image.tiling import TilingOptions, restore_samples
from restorekit.core.networks import configure, count_macs, count_parameters, network_restorer
from restorekit.core.networks.routed_unets import Reading
from restorekit.core.networks.tone import apply_curves
from restorekit.core.restorer import GlobalRestorer
from restorekit.errors import ModelError

SMALL = {"experts": [{"widths": [4, 6], "blocks": [1, 1]}, {"widths": [4], "blocks": [1], "tones": True}]}


def awake(config, *, logits: tuple[float, float] | None = None):
    """A network whose experts and curves do something; whatever it sees, the router says ``logits``, if given."""
    torch.manual_seed(0)
    network = config.build()
    for expert in network.experts:
        torch.nn.init.normal_(expert.head.weight, std=0.1)
    torch.nn.init.normal_(network.experts[1].toner.curves.weight, std=0.05)
    if logits is not None:
        torch.nn.init.zeros_(network.router.logits.weight)
        with torch.no_grad():
            network.router.logits.bias.copy_(torch.tensor(logits))
    return network.eval()


def test_fresh_network_returns_its_input() -> None:
    images = torch.rand(3, 3, 16, 24)
    assert torch.equal(configure("routed_unets", SMALL).build()(images), images)


def test_each_image_is_restored_by_the_expert_of_the_largest_logit_after_its_curves() -> None:
    network = awake(configure("routed_unets", SMALL))
    images = torch.rand(4, 3, 16, 24)
    curves = network.experts[1].toner(images)
    assert curves.abs().max() > 0.01
    reading = Reading(torch.tensor([[0.0, 1.0], [2.0, 1.0], [-3.0, -2.0], [0.1, 0.0]]), (None, curves))
    restored = network.restore(images, reading)
    for place, expert in enumerate([1, 0, 1, 0]):
        image = images[place : place + 1]
        toned = apply_curves(image, curves[place : place + 1]) if expert else image
        torch.testing.assert_close(restored[place : place + 1], network.experts[expert].restore(toned, None))


def test_router_reads_photos_and_their_patches_and_only_the_chosen_experts_read_tones() -> None:
    network = awake(configure("routed_unets", SMALL), logits=(1.0, 0.0))
    photos = torch.rand(2, 3, 100, 30)
    reading = network.read(photos, cut_patches(photos))
    assert reading.curves == (None, None)
    assert network.read(photos, cut_patches(photos)).logits.tolist() == [[1.0, 0.0]] * 2
    network = awake(configure("routed_unets", SMALL), logits=(0.0, 1.0))
    torch.testing.assert_close(network.read(photos, cut_patches(photos)).curves[1], network.experts[1].toner(photos))


def test_logits_are_those_of_the_mean_over_patches() -> None:
    router = awake(configure("routed_unets", SMALL)).router
    photos, patches = torch.rand(2, 3, 40, 40), torch.rand(2, 5, 3, 24, 24)
    maps = [router.patches(4 * (patches[:, place] - 0.5)) for place in range(5)]
    pooled = torch.stack([torch.cat([m.mean(dim=(2, 3)), m.amax(dim=(2, 3))], dim=1) for m in maps]).mean(dim=0)
    hidden = torch.relu(router.hidden(torch.cat([router.thumbnail(photos), pooled], dim=1)))
    torch.testing.assert_close(router(photos, patches), router.logits(hidden))


@pytest.mark.parametrize(
    ("leads", "expected"), [(None, [0, 1, 1]), ([0, 0], [0, 1, 1]), ([0, 1], [0, 0, 1]), ([9, 5], [0, 0, 0])]
)
def test_another_expert_must_lead_the_first(leads: list[float] | None, expected: list[int]) -> None:
    network = configure("routed_unets", SMALL | {"leads": leads}).build()
    assert network.route_of(torch.tensor([[1.0, 0.0], [0.0, 0.9], [0.0, 4.0]])).tolist() == expected


def test_best_of_three_experts_leads_or_none_does() -> None:
    """A second best expert that would lead far enough is not asked."""
    config = {"experts": [*SMALL["experts"], {"widths": [4], "blocks": [1]}], "leads": [0, 3, 1]}
    network = configure("routed_unets", config).build()
    assert network.route_of(torch.tensor([[0.0, 4.0, 3.0], [0.0, 2.0, 1.9], [0.0, 2.0, 2.1]])).tolist() == [1, 0, 2]


def test_leads_are_one_for_each_expert() -> None:
    with pytest.raises(ModelError, match="leads: expected 2, one for each expert, got 1"):
        configure("routed_unets", SMALL | {"leads": [1]})


def test_a_photo_costs_one_expert_and_a_fixed_survey() -> None:
    config = configure("routed_unets", SMALL)

    def survey_macs(side: int) -> int:
        expert = count_macs(config.experts[0], height_px=side, width_px=side)
        return count_macs(config, height_px=side, width_px=side) - expert

    assert 0 < survey_macs(128) == survey_macs(256)
    assert count_parameters(config) > sum(count_parameters(expert) for expert in config.experts)


@pytest.mark.parametrize("expert", [0, 1])
def test_tiled_equals_whole(expert: int) -> None:
    restorer = network_restorer("routed", configure("routed_unets", SMALL))
    restorer._module = awake(restorer.config, logits=(1.0, 0.0) if expert == 0 else (0.0, 1.0))
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
