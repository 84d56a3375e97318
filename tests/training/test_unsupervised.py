"""Losses without bright photos: each against the formula, pixel by pixel, and each trains a network."""

from itertools import product

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from restorekit.core.networks.sci import SCIConfig
from restorekit.core.networks.zero_dce import ZeroDCEConfig
from restorekit.errors import UsageError
from restorekit.training.supervised import METHOD, SupervisedConfig, UnsupervisedTask
from restorekit.training.unsupervised import (
    LOSSES,
    Stage,
    UnsupervisedLoss,
    colour_constancy,
    edge_aware_smoothness,
    exposure,
    illumination_fidelity,
    illumination_smoothness,
    spatial_consistency,
    stages_of,
    total_variation,
)


def images(seed: int, height: int = 6, width: int = 7, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_exposure_is_the_mean_squared_distance_of_regions_from_six_tenths() -> None:
    photo = images(0, 32, 50)
    regions = [
        photo[b, :, 16 * r : 16 * r + 16, 16 * c : 16 * c + 16].mean()
        for b, r, c in product(range(2), range(2), range(3))
    ]
    assert float(exposure(photo)) == pytest.approx(np.mean([(float(mean) - 0.6) ** 2 for mean in regions]))


def test_exposure_takes_images_below_one_region() -> None:
    assert float(exposure(torch.full((1, 3, 5, 20), 0.4, dtype=torch.float64))) == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("colour", "expected"), [((0.3, 0.3, 0.3), 0.0), ((0.5, 0.3, 0.3), 0.08), ((0.1, 0.2, 0.4), 0.01 + 0.09 + 0.04)]
)
def test_colour_constancy_adds_the_squared_differences_of_the_mean_colour(colour, expected) -> None:
    gray = images(0).mean(dim=1, keepdim=True)
    photo = gray - gray.mean(dim=(2, 3), keepdim=True) + torch.tensor(colour, dtype=torch.float64)[:, None, None]
    assert float(colour_constancy(photo)) == pytest.approx(expected, abs=1e-12)


def test_spatial_consistency_compares_each_block_with_its_four_neighbours() -> None:
    bright, dark = images(0, 12, 9, batch=1), images(1, 12, 9, batch=1)
    total, blocks = 0.0, list(product(range(3), range(2)))  # the ninth column makes no block
    for row, column in blocks:
        for other in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            if other in blocks:
                contrasts = [
                    abs(
                        float(photo[0, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].mean())
                        - float(photo[0, :, 4 * other[0] : 4 * other[0] + 4, 4 * other[1] : 4 * other[1] + 4].mean())
                    )
                    for photo in (bright, dark)
                ]
                total += (contrasts[0] - contrasts[1]) ** 2
    assert float(spatial_consistency(bright, dark)) == pytest.approx(total / 6)
    assert float(spatial_consistency(bright + 0.2, bright)) == pytest.approx(0, abs=1e-12)


def test_illumination_smoothness_adds_up_the_squared_differences_of_every_map() -> None:
    curves = torch.randn(1, 6, 4, 5, dtype=torch.float64)
    total = 0.0
    for values in curves[0]:
        across = [float(values[r, c + 1] - values[r, c]) ** 2 for r, c in product(range(4), range(4))]
        down = [float(values[r + 1, c] - values[r, c]) ** 2 for r, c in product(range(3), range(5))]
        total += 2 * (float(np.mean(across)) + float(np.mean(down)))
    assert float(illumination_smoothness(curves)) == pytest.approx(total)


def test_illumination_fidelity_is_the_mean_square() -> None:
    light, dark = images(0), images(1)
    assert float(illumination_fidelity(light, dark)) == pytest.approx(float(((light - dark) ** 2).mean()))


def to_yuv(red: float, green: float, blue: float) -> np.ndarray:
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.array([luma, 0.492 * (blue - luma), 0.877 * (red - luma)])


@pytest.mark.parametrize(("height", "width"), [(6, 7), (2, 9), (3, 1)])
def test_edge_aware_smoothness_weighs_24_neighbours_by_colour(height: int, width: int) -> None:
    light, dark = images(0, height, width, batch=1), images(1, height, width, batch=1) * 0.2
    colours = {
        place: to_yuv(*dark[0, :, place[0], place[1]].tolist()) for place in product(range(height), range(width))
    }
    total = 0.0
    for down, right in product(range(-2, 3), repeat=2):
        values = [
            np.exp(-((colours[place] - colours[other]) ** 2).sum() / (2 * 0.1**2))
            * float((light[0, :, place[0], place[1]] - light[0, :, other[0], other[1]]).abs().sum())
            for place in colours
            if (other := (place[0] + down, place[1] + right)) in colours
        ]
        total += float(np.mean(values)) if values else 0.0
    assert float(edge_aware_smoothness(light, dark)) == pytest.approx(total)


def test_edge_aware_smoothness_lets_illumination_change_at_edges() -> None:
    step = torch.zeros(1, 3, 4, 8)
    step[..., 4:] = 1
    assert float(edge_aware_smoothness(step, step)) < 1e-6
    assert float(edge_aware_smoothness(step, torch.zeros_like(step))) > 1


def test_total_variation_of_a_ramp() -> None:
    ramp = torch.arange(5.0).expand(1, 3, 4, 5) * 0.1
    assert float(total_variation(ramp)) == pytest.approx(2 * 0.01)


def test_losses_are_the_published_sums() -> None:
    dark, bright, maps = images(0, 20, 24), images(1, 20, 24), images(2, 20, 24)
    light = (dark + 1 / 255) / (bright + 1 / 255)

    def of(name: str, maps: torch.Tensor | None = None) -> float:
        return float(UnsupervisedLoss(name)([Stage(dark, bright, maps)]))

    plain = spatial_consistency(bright, dark) + 10 * exposure(bright) + 5 * colour_constancy(bright)
    assert of("zero_dce") == pytest.approx(float(plain))
    assert of("zero_dce", maps) == pytest.approx(float(plain + 200 * illumination_smoothness(maps)))
    for x, given in ((light, None), (maps, maps)):
        fidelity, smooth = illumination_fidelity(x, dark), edge_aware_smoothness(x, dark)
        assert of("sci", given) == pytest.approx(float(1.5 * fidelity + smooth))
        assert of("ruas", given) == pytest.approx(float(0.5 * fidelity + smooth + total_variation(bright)))


def test_loss_adds_up_the_stages() -> None:
    stages = [Stage(images(0), images(1)), Stage(images(2), images(3))]
    loss = UnsupervisedLoss("sci")
    assert float(loss(stages)) == pytest.approx(sum(float(loss([stage])) for stage in stages))


def test_stages_of_a_network_come_from_itself_and_of_others_from_their_result() -> None:
    dark = 0.3 * images(0).float()
    torch.manual_seed(0)
    curves, light, plain = ZeroDCEConfig(width=4).build(), SCIConfig().build().eval(), nn.Conv2d(3, 3, 1)
    (stage,) = stages_of(curves, dark)
    torch.testing.assert_close(stage.maps, curves.curves(dark))
    assert len(stages_of(light, dark)) == 3
    for network in (curves, light, plain):
        torch.testing.assert_close(stages_of(network, dark)[0].restored, network(dark))
    (stage,) = stages_of(plain, dark)
    assert stage.maps is None
    torch.testing.assert_close(stage.illumination * (stage.restored + 1 / 255), dark + 1 / 255)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_have_finite_gradients_on_black_and_flat_images(name) -> None:
    restored = torch.zeros(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    loss = UnsupervisedLoss(name)
    loss([Stage(torch.zeros(1, 3, 8, 8, dtype=torch.float64), restored)]).backward()
    assert torch.isfinite(restored.grad).all()


@pytest.mark.parametrize(
    ("name", "network"),
    [("zero_dce", "zero_dce"), ("sci", "sci"), ("ruas", "sci"), ("sci", "nafnet"), ("sci", "zero_dce")],
)
def test_training_makes_the_loss_smaller_and_never_looks_at_clean_photos(name: str, network: str) -> None:
    torch.manual_seed(0)
    tiny = {"width": 4, "encoder_blocks": [1], "middle_blocks": 1, "decoder_blocks": [1]} if network == "nafnet" else {}
    task = METHOD.task(SupervisedConfig(network=network, network_options=tiny, loss=name), None)
    batch = {"degraded": 0.2 * images(0, 16, 16).float()}
    optimiser = torch.optim.Adam(task.network.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        loss = task.step(batch, generator=torch.Generator()).loss
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.98 * losses[0]


def test_task_adds_up_the_losses_of_the_networks_stages() -> None:
    torch.manual_seed(0)
    network, loss = SCIConfig().build().eval(), UnsupervisedLoss("sci")
    dark = 0.3 * images(0).float()
    step = UnsupervisedTask(network, loss).step({"degraded": dark}, generator=torch.Generator())
    torch.testing.assert_close(step.loss, loss(stages_of(network, dark)))


def test_unknown_losses_are_refused_with_the_names() -> None:
    with pytest.raises(UsageError, match="expected one of zero_dce, sci, ruas, got 'zerodce'; did you mean"):
        UnsupervisedLoss("zerodce")


@pytest.mark.parametrize("other", [{"routes": [0, 1]}, {"balance": 0.1}])
def test_settings_that_need_clean_photos_are_refused(other) -> None:
    with pytest.raises(ValidationError, match=r"loss: expected one that knows clean photos .* got zero_dce"):
        SupervisedConfig.model_validate({"network": "zero_dce", "loss": "zero_dce"} | other)
