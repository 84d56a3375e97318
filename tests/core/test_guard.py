"""A runaway output is refused with its reason; what a correct restoration does to a photo is not."""

import importlib.resources

import numpy as np
import PIL.Image
import pytest
import torch

from restorekit.core.classical import build_classical
from restorekit.core.degradation.chain import degrade_images
from restorekit.core.guard import Watch, find_blow_up, restore_guarded
from restorekit.core.image.convention import convert_depth, from_images, to_images
from restorekit.core.image.tiling import TilingOptions
from restorekit.core.restorer import InputSpec


@pytest.fixture(scope="module")
def photo():
    path = importlib.resources.files("skimage") / "data" / "coffee.png"
    with PIL.Image.open(str(path)) as image:
        return to_images(np.asarray(image)[:256, :320])


@pytest.mark.parametrize(
    "spec",
    [
        "none",
        "noise:sigma=50,clip=0",
        "rain",
        "haze:beta=1.5",
        "low_light:exposure=0.006",
        "blur:sigma=2",
        "motion:length=15",
    ],
)
def test_the_clean_photo_is_a_restoration_of_its_degraded_twin(photo, spec):
    degraded, _ = degrade_images(photo, spec, generator=torch.Generator().manual_seed(3))
    assert find_blow_up(photo, degraded) is None


def test_brightening_by_a_curve_passes(photo):
    dark, _ = degrade_images(photo, "low_light:exposure=0.02", generator=torch.Generator().manual_seed(0))
    assert find_blow_up(dark.clamp(0, 1) ** 0.4, dark) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_counted(photo, value):
    broken = photo.clone()
    broken[0, 1, 5, 5:8] = value
    assert find_blow_up(broken, photo) == f"3 of {photo.numel()} values are NaN or infinite"


def test_values_far_outside_are_a_reason(photo):
    assert "far outside [0, 1]" in (find_blow_up(photo * 4 - 1.5, photo) or "")


def test_a_tile_of_saturated_colour_is_a_reason(photo):
    broken = photo.clone()
    broken[0, :, 64:128, 64:192] = torch.tensor([1.0, 0.0, 1.0])[:, None, None]
    assert "the colour of some places moved" in (find_blow_up(broken, photo) or "")


def test_a_tile_of_amplified_noise_is_a_reason(photo):
    broken = photo.clone()
    broken[0, :, 64:128, 64:192] += 2 * torch.randn(3, 64, 128, generator=torch.Generator().manual_seed(0))
    assert find_blow_up(broken, photo) is not None


def test_a_negative_is_a_reason(photo):
    gray = photo.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    assert "bright and dark places were exchanged" in (find_blow_up(1 - gray, gray) or "")


@pytest.mark.parametrize("height", [0.05, 0.1])
def test_a_faint_checkerboard_is_a_reason(photo, height):
    rows, columns = torch.arange(256)[:, None], torch.arange(320)
    checkerboard = height * (1.0 - 2 * ((rows + columns) % 2))
    watch = Watch()
    watch.see(photo, photo + checkerboard)
    found = watch.statistics()
    assert (found.growth < 4, found.shift < 0.1, found.agreement > 0.9) == (True, True, True)  # the others see nothing
    assert "of the detail of some places is a pattern that repeats" in (watch.find_blow_up() or "")


def test_growth_of_detail_is_the_factor(photo):
    rng = torch.Generator().manual_seed(0)
    ramp = torch.linspace(0, 1, 256).expand(1, 3, 256, 256)
    noise = 0.1 * torch.randn(1, 1, 256, 256, generator=rng).expand(-1, 3, -1, -1)
    watch = Watch()
    watch.see(ramp + noise, ramp + 4 * noise)
    assert 2.5 < watch.statistics().growth < 4  # four times, less the 0.02 that never counts


def test_tiles_are_judged_as_one_photo(photo):
    """A tile that is flat, or brighter than the rest, is no news if the whole photo says so."""
    dark, _ = degrade_images(photo, "low_light:exposure=0.01", generator=torch.Generator().manual_seed(3))
    whole, tiled = Watch(), Watch()
    whole.see(dark, photo)
    for rows in (slice(0, 128), slice(128, 256)):
        for columns in (slice(0, 160), slice(160, 320)):
            tiled.see(dark[..., rows, columns], photo[..., rows, columns])
    assert tiled.tiles == 4
    for name, value in vars(whole.statistics()).items():
        places = 0.01 if name == "repetition" else 1e-5  # its regions are 64 px wide, these tiles 160
        assert getattr(tiled.statistics(), name) == pytest.approx(value, abs=places)


def test_the_worst_image_of_a_batch_counts(photo):
    broken = photo.clone()
    broken[0, :, 64:128, 64:192] = torch.tensor([1.0, 0.0, 1.0])[:, None, None]
    assert "colour" in (find_blow_up(torch.cat([photo, broken]), torch.cat([photo, photo])) or "")


def test_flat_and_tiny_photos_pass():
    flat = torch.full((1, 3, 5, 7), 0.4)
    assert find_blow_up(flat, flat) is None


class Moody:
    """Gives its input back, plus strong noise where ``runs_away(height, precision)`` says so."""

    name, spec, device = "moody", InputSpec(halo=0), torch.device("cpu")

    def __init__(self, runs_away, precision="float32"):
        self.runs_away, self.precision, self.calls = runs_away, precision, []

    def to(self, device, precision="float32"):
        self.precision = precision
        return self

    def restore(self, degraded, *, generator=None):
        self.calls.append((degraded.shape[-2], self.precision))
        if not self.runs_away(degraded.shape[-2], self.precision):
            return degraded
        return degraded + 2 * torch.randn(degraded.shape, generator=generator)


@pytest.fixture(scope="module")
def samples(photo):
    return from_images(photo, np.uint8)


def test_an_ordinary_answer_is_taken_at_the_first_try(samples):
    restorer = Moody(lambda height, precision: False)
    found = restore_guarded(restorer, samples)
    np.testing.assert_array_equal(found.samples, samples)
    assert (found.trouble, found.kept, found.warnings) == (None, False, ())
    assert restorer.calls == [(256, "float32")]


def test_low_precision_is_tried_again_in_float32_and_put_back(samples):
    restorer = Moody(lambda height, precision: precision == "bfloat16", precision="bfloat16")
    found = restore_guarded(restorer, samples)
    np.testing.assert_array_equal(found.samples, samples)
    assert not found.kept
    assert restorer.calls == [(256, "bfloat16"), (256, "float32")]
    assert restorer.precision == "bfloat16"
    (line,) = found.warnings
    assert line.startswith("blow-up: ")
    assert line.endswith("; restored again in one piece and float32")


def test_tiles_are_tried_again_in_one_piece(samples):
    restorer = Moody(lambda height, precision: height < 256)
    found = restore_guarded(restorer, samples, TilingOptions(tile_px=128))
    np.testing.assert_array_equal(found.samples, samples)
    assert not found.kept
    assert restorer.calls[-1] == (256, "float32")
    assert len(restorer.calls) > 2


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_input_is_kept_in_the_depth_asked_for_where_nothing_helps(samples, dtype):
    restorer = Moody(lambda height, precision: True)
    found = restore_guarded(restorer, samples, dtype=dtype)
    np.testing.assert_array_equal(found.samples, convert_depth(samples, dtype))
    assert found.kept
    assert found.warnings[0].endswith("; the input is kept")
    assert len(restorer.calls) == 1  # one piece, float32: a second try could not differ


def test_a_photo_too_large_for_one_piece_keeps_its_input(samples):
    restorer = Moody(lambda height, precision: True)
    restorer.spec = InputSpec(halo=0, bytes_per_pixel=2**40)
    found = restore_guarded(restorer, samples, TilingOptions(tile_px=128))
    assert found.kept
    assert {height for height, _ in restorer.calls} != {256}


@pytest.mark.parametrize(("name", "spec"), [("gamma", "low_light:exposure=0.01"), ("dcp", "haze:beta=1.5")])
def test_the_limits_are_wider_than_what_formulas_do(photo, name, spec):
    degraded, _ = degrade_images(photo, spec, generator=torch.Generator().manual_seed(3))
    assert find_blow_up(build_classical(name).restore(degraded), degraded) is None


@pytest.mark.parametrize(("formula", "watched"), [(True, True), (False, False)])
def test_formulas_are_not_watched_nor_what_nobody_wants_watched(samples, formula, watched):
    restorer = Moody(lambda height, precision: True)
    restorer.formula = formula
    found = restore_guarded(restorer, samples, watched=watched)
    assert (found.trouble, found.kept) == (None, False)
    assert (found.samples != samples).mean() > 0.5
