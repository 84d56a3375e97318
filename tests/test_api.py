"""What comes in as X goes out as X."""

import numpy as np
import PIL.Image
import pytest
import torch

import restorekit
from restorekit.comparison import rows
from restorekit.core.restorer import InputSpec
from restorekit.errors import ImageError, UsageError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(9, 12), (9, 12, 1), (9, 12, 3), (9, 12, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_arrays_keep_shape_depth_and_alpha(shape, dtype):
    peak = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1.0
    array = (RNG.random(shape) * peak).astype(dtype)
    restored = restorekit.restore(array, "classical:median")
    assert restored.shape == array.shape
    assert restored.dtype == array.dtype
    if shape[-1] == 4:
        np.testing.assert_array_equal(restored[..., 3], array[..., 3])


@pytest.mark.parametrize("shape", [(3, 10, 14), (2, 3, 10, 14)])
def test_tensors_keep_shape_and_type(shape):
    tensor = torch.rand(shape, dtype=torch.float64)
    restored = restorekit.restore(tensor, "classical:median")
    assert restored.shape == tensor.shape
    assert restored.dtype == tensor.dtype


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_pil_images_keep_mode_and_info(mode):
    shape = {"L": (8, 9), "I;16": (8, 9), "LA": (8, 9, 2), "RGB": (8, 9, 3), "RGBA": (8, 9, 4)}[mode]
    array = RNG.integers(0, 256, shape).astype(np.uint16 if mode == "I;16" else np.uint8)
    image = PIL.Image.fromarray(array)
    assert image.mode == mode
    image.info["icc_profile"] = b"profile"
    restored = restorekit.restore(image, "classical:median")
    assert (restored.mode, restored.size) == (image.mode, image.size)
    assert restored.info["icc_profile"] == b"profile"


def test_palette_images_become_colour():
    image = PIL.Image.fromarray(RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)).quantize(8)
    assert restorekit.restore(image, "classical:median").mode == "RGB"


def test_paths_give_an_image_that_saves_in_its_own_depth(tmp_path):
    path = tmp_path / "deep.png"
    PIL.Image.fromarray(RNG.integers(0, 65536, (8, 9)).astype(np.uint16)).save(path)
    restored = restorekit.restore(path, "classical:median")
    restored.save(tmp_path / "out.png")
    assert np.asarray(PIL.Image.open(tmp_path / "out.png")).dtype == np.uint16


def test_strength_zero_is_the_input_and_one_the_restored():
    array = RNG.random((8, 9, 3)).astype(np.float32)
    np.testing.assert_allclose(restorekit.restore(array, "classical:median", strength=0.0), array, atol=1e-7)
    full, half = (restorekit.restore(array, "classical:median", strength=s) for s in (1.0, 0.5))
    np.testing.assert_allclose(half, (array + full) / 2, atol=1e-6)
    with pytest.raises(UsageError, match=r"strength: expected 0 to 1, got 2\.0"):
        restorekit.restore(array, strength=2.0)


def test_loaded_restorers_can_be_passed():
    array = RNG.random((8, 9, 3)).astype(np.float32)
    loaded = restorekit.load("classical:median")
    np.testing.assert_array_equal(restorekit.restore(array, loaded), restorekit.restore(array, "classical:median"))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 3), np.int32),
        np.zeros(4, np.uint8),
        torch.zeros(4, 4),
        torch.zeros(1, 4, 4),
    ],
)
def test_other_shapes_are_refused(image):
    with pytest.raises(ImageError, match="expected"):
        restorekit.restore(image, "classical:median")


def test_degrade_repeats_by_seed_and_name():
    array = np.full((16, 16, 3), 0.5, np.float32)
    first, again, other = (restorekit.degrade(array, "noise:sigma=25", seed=s, name="x") for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.01


def test_score_of_one_image_and_of_folders_agree(tmp_path):
    for folder in ("restored", "clean"):
        (tmp_path / folder).mkdir()
    for name in ("a.png", "b.png"):
        clean = RNG.integers(20, 236, (24, 24, 3), dtype=np.uint8)
        PIL.Image.fromarray(clean).save(tmp_path / "clean" / name)
        noisy = (clean + RNG.integers(-10, 11, clean.shape)).astype(np.uint8)
        PIL.Image.fromarray(noisy).save(tmp_path / "restored" / name)
    folders = restorekit.score(tmp_path / "restored", tmp_path / "clean")
    single = restorekit.score(
        np.asarray(PIL.Image.open(tmp_path / "restored" / "a.png")), PIL.Image.open(tmp_path / "clean" / "a.png")
    )
    assert set(folders.images) == {"a.png", "b.png"}
    assert dict(single.mean) == pytest.approx(dict(folders.images["a.png"]))
    for address, mean in folders.mean.items():
        assert mean == pytest.approx(np.mean([row[address] for row in folders.images.values()]))


def test_score_without_reference_refuses_metrics_that_need_one():
    with pytest.raises(UsageError, match="expected a clean reference for psnr"):
        restorekit.score(np.zeros((8, 8, 3), np.uint8))


def test_an_interrupted_comparison_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "ALWAYS", ("median", "gamma"))
    options = restorekit.ComparisonOptions(costs=False)
    photos, out = ["sample:coffee@256", "sample:chelsea@256"], tmp_path / "out"
    seen: list[tuple[str, str]] = []

    def stop(image, model):
        seen.append((image, model))
        if len(seen) == 4:
            raise KeyboardInterrupt

    def run(on_step):
        return restorekit.compare(photos, degrade="noise", output=out, options=options, on_step=on_step)

    with pytest.raises(KeyboardInterrupt):
        run(stop)
    later: list[tuple[str, str]] = []
    report = run(lambda *step: later.append(step))
    assert not set(seen[:3]) & set(later)
    assert len(report.scores) == len(restorekit.compare(photos, degrade="noise", options=options).scores)
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


class Runaway:
    """Gives noise of twice the full range."""

    name, spec = "runaway", InputSpec()

    def to(self, device, precision="float32"):
        return self

    def restore(self, degraded, *, generator=None):
        return degraded + 2 * torch.randn(degraded.shape, generator=generator)


def test_a_runaway_model_gives_the_input_and_a_warning():
    photo = restorekit.restore("sample:coffee@256", "classical:median")
    with pytest.warns(UserWarning, match="blow-up: .*; the input is kept"):
        kept = restorekit.restore(photo.samples, Runaway())
    np.testing.assert_array_equal(kept, photo.samples)
    source = restorekit.restore(photo, Runaway())
    assert source.warnings[-1].endswith("; the input is kept")
    assert (restorekit.restore(photo.samples, Runaway(), guard=False) != photo.samples).mean() > 0.5
