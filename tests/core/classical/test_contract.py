"""What every classical restorer promises, written once."""

import pickle

import pytest
import torch

from restorekit.core.classical import CLASSICAL, build_classical
from restorekit.core.image.tiling import TilingOptions, restore_images
from restorekit.core.restorer import GlobalRestorer, Restorer
from restorekit.errors import ImageError

pytestmark = pytest.mark.parametrize("name", list(CLASSICAL))


def noisy_batch(height: int, width: int, batch: int = 1) -> torch.Tensor:
    """Smooth colour ramps with noise; values leave [0, 1] slightly."""
    generator = torch.Generator().manual_seed(height * width)
    rows = torch.linspace(0.1, 0.9, height)[:, None].expand(height, width)
    columns = torch.linspace(0.8, 0.2, width)[None].expand(height, width)
    clean = torch.stack([rows, columns, (rows + columns) / 2])
    return clean + 0.1 * torch.randn((batch, 3, height, width), generator=generator)


def test_restorer_satisfies_the_protocol(name):
    restorer = build_classical(name)
    assert isinstance(restorer, Restorer)
    assert restorer.name == f"classical:{name}"
    assert restorer.to(torch.device("cpu"), "bfloat16") is restorer
    assert restorer.spec.tiling != "shared" or isinstance(restorer, GlobalRestorer)


@pytest.mark.parametrize(("height", "width"), [(37, 53), (8, 8)])
def test_restorer_keeps_shape_and_input(name, height, width):
    degraded = noisy_batch(height, width)
    before = degraded.clone()
    restored = build_classical(name).restore(degraded)
    assert restored.shape == degraded.shape
    assert restored.dtype == torch.float32
    assert torch.isfinite(restored).all()
    assert torch.equal(degraded, before)


def test_restorer_changes_the_image_the_same_way_twice(name):
    degraded = noisy_batch(37, 53)
    restorer = build_classical(name)
    restored = restorer.restore(degraded)
    assert not torch.allclose(restored, degraded, atol=1e-3)
    assert torch.equal(restored, restorer.restore(degraded))


def test_restorer_treats_each_image_of_a_batch_alone(name):
    degraded = noisy_batch(24, 31, batch=2)
    degraded[1] *= 0.5
    restorer = build_classical(name)
    together = restorer.restore(degraded)
    alone = torch.cat([restorer.restore(image[None]) for image in degraded])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_restorer_survives_a_flat_image(name, value):
    restored = build_classical(name).restore(torch.full((1, 3, 16, 16), value))
    assert torch.isfinite(restored).all()
    assert float(restored.std()) < 1e-5


def test_restorer_tiled_equals_whole(name):
    restorer = build_classical(name)
    restored = restorer.restore(noisy_batch(150, 170))
    tiled = restore_images(restorer, noisy_batch(150, 170), TilingOptions(tile_px=2 * restorer.spec.halo + 96))
    assert (tiled - restored).abs().max() < 1e-5


def test_restorer_survives_pickling(name):
    restorer = pickle.loads(pickle.dumps(build_classical(name)))
    degraded = noisy_batch(16, 16)
    assert torch.equal(restorer.restore(degraded), build_classical(name).restore(degraded))


def test_restorer_refuses_nan_naming_itself(name):
    with pytest.raises(ImageError, match=rf"classical:{name}: expected finite values"):
        build_classical(name).restore(torch.full((1, 3, 8, 8), torch.nan))
