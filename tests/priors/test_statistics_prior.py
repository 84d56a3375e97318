"""The statistics prior: each measurement against numpy or a picture of which it is known, and what it tells apart."""

from importlib.resources import files

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from restorekit.core.degradation.chain import degrade_images
from restorekit.core.randomness import generator_for
from restorekit.priors.image_statistics import CELL_PX, STATISTICS, StatisticsPrior, measure


def measured(images: Tensor) -> dict[str, float]:
    return dict(zip(STATISTICS, measure(images)[0].tolist(), strict=True))


def noise(sigma: float, size: int = 256) -> Tensor:
    plane = torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(0))
    return (0.5 + sigma * plane).expand(1, 3, size, size)


def photo(name: str) -> Tensor:
    with (files("skimage") / "data" / name).open("rb") as file:
        samples = np.asarray(Image.open(file).convert("RGB"))[:256, :256]
    return torch.from_numpy(samples.astype(np.float32) / 255).permute(2, 0, 1)[None]


def test_brightness_and_contrast_match_numpy() -> None:
    image = photo("coffee.png")
    planes, found = image[0].numpy().astype(np.float64), measured(image)
    luma, saturation = planes.mean(axis=0), planes.max(axis=0) - planes.min(axis=0)
    expected = {
        "red": planes[0].mean(),
        "green": planes[1].mean(),
        "blue": planes[2].mean(),
        "red_contrast": planes[0].std(ddof=1),
        "green_contrast": planes[1].std(ddof=1),
        "blue_contrast": planes[2].std(ddof=1),
        **{f"quantile_{share:02d}": np.quantile(luma, share / 100) for share in (1, 5, 25, 50, 75, 95, 99)},
        "saturation": saturation.mean(),
        "saturation_contrast": saturation.std(ddof=1),
        "darkest_colour": planes.min(axis=0).mean(),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-4), name


def test_clipped_share_is_a_square_root() -> None:
    image = torch.full((1, 3, 20, 20), 0.5)
    image[:, :, :, :5] = 0.0
    image[:, :, 0, 19] = 1.0
    found = measured(image)
    assert found["black"] == pytest.approx(0.5)
    assert found["white"] == pytest.approx(0.05)


@pytest.mark.parametrize("sigma", [5 / 255, 25 / 255])
def test_noise_is_its_deviation(sigma: float) -> None:
    found = measured(noise(sigma))
    assert 10 ** found["noise"] == pytest.approx(sigma, rel=0.02)
    assert found["tails"] == pytest.approx((2 / np.pi) ** 0.5, abs=0.01)
    assert 10 ** found["across_1px"] == pytest.approx(2**0.5 * sigma, rel=0.02)
    assert 10 ** found["down_4px"] == pytest.approx(2**0.5 * sigma / 4, rel=0.05)  # means of 16 samples
    assert 10 ** found["colour_noise"] == pytest.approx(1e-4, rel=0.05)  # gray: nothing but the floor


def test_gradients_know_their_direction() -> None:
    stripes = (torch.arange(64) % 2).float().expand(1, 3, 64, 64)  # vertical, one px wide
    found = measured(stripes)
    assert 10 ** found["across_1px"] == pytest.approx(1.0, rel=1e-3)
    assert 10 ** found["down_1px"] == pytest.approx(1e-4)
    assert 10 ** found["across_2px"] == pytest.approx(1e-4)


@pytest.mark.parametrize("phase", range(8))
def test_blocks_are_found_at_any_phase(phase: int) -> None:
    blocks = ((torch.arange(64) + phase) // 8 % 2).float().expand(1, 3, 64, 64)
    found = measured(blocks)
    assert found["block_columns"] == pytest.approx(np.log(8), abs=0.2)  # all steps at one of eight phases
    assert found["block_rows"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("image", [torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 40, 16), torch.full((1, 3, 2, 1), 0.5)])
def test_flat_and_tiny_images_have_finite_unit_vectors(image: Tensor) -> None:
    vectors = StatisticsPrior().features(image)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(1))


def test_map_cell_is_the_vector_of_its_crop() -> None:
    prior, image = StatisticsPrior(), photo("coffee.png")[:, :, :100, :70]
    grid = prior.feature_map(image)
    assert grid.shape == (1, prior.dim, 3, 2)
    crop = image[:, :, CELL_PX : 2 * CELL_PX, :CELL_PX]
    torch.testing.assert_close(grid[:, :, 1, 0], prior.features(crop), atol=1e-5, rtol=1e-4)


def test_degradations_are_told_apart_across_photos() -> None:
    """The nearest vector of another photo has the same degradation, where raw pixels would have the same scene."""
    specs = ("none", "noise:sigma=25", "blur:sigma=2", "haze", "low_light", "jpeg:quality=15")
    prior, labels, vectors = StatisticsPrior(), [], []
    for name in ("coffee.png", "astronaut.png", "chelsea.png", "rocket.jpg"):
        for label, spec in enumerate(specs):
            degraded, _ = degrade_images(photo(name), spec, generator=generator_for(0, name, spec))
            labels.append(label)
            vectors.append(prior.features(degraded))
    similarity = torch.cat(vectors) @ torch.cat(vectors).T
    photos_of = torch.arange(len(labels)) // len(specs)
    similarity[photos_of[:, None] == photos_of] = -2.0
    nearest = torch.tensor(labels)[similarity.argmax(dim=1)]
    assert (nearest == torch.tensor(labels)).float().mean() > 0.6
