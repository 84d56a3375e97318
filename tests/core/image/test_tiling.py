"""Tiled equals whole, memory stays bounded, seams stay invisible."""

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from restorekit.core.image.canvas import Canvas
from restorekit.core.image.tiling import TensorView, TilingOptions, restore_images, restore_samples
from restorekit.core.restorer import GlobalRestorer, InputSpec
from restorekit.errors import MemoryLimitError


class ToyRestorer:
    """Any function of an image as a restorer; it remembers the sizes it saw."""

    name = "toy"

    def __init__(self, function, spec):
        self.function, self.spec, self.seen = function, spec, []

    def to(self, device, precision="float32"):
        return self

    def restore(self, degraded, *, generator=None):
        self.seen.append(tuple(degraded.shape[-2:]))
        return self.function(degraded)


class MeanRestorer(ToyRestorer):
    """Divides by the mean of the whole image: wrong in every tile, unless the mean is shared."""

    def __init__(self, tiling):
        super().__init__(lambda x: x / x.mean(dim=(2, 3), keepdim=True), InputSpec(tiling=tiling, halo=0))

    def survey(self, view):
        total = torch.zeros(1, 3, 1, 1, dtype=torch.float64)
        for tile, around, core in view.tiles():
            assert around == core
            total += tile.double().sum(dim=(2, 3), keepdim=True)
        return (total / (view.height * view.width)).float()

    def restore_tile(self, degraded, code, *, window, generator=None):
        self.seen.append((window.height, window.width))
        return degraded / code


def convolutions(*, strided, seed=0):
    torch.manual_seed(seed)
    inner = [
        nn.Conv2d(48 if strided else 3, 16, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(16, 48 if strided else 3, 3, padding=1),
    ]
    layers = [nn.PixelUnshuffle(4), *inner, nn.PixelShuffle(4)] if strided else inner
    network = nn.Sequential(*layers).eval()
    # Receptive field: two 3x3 convolutions reach 2 px, behind an unshuffle of 4 at most 2 * 4 + 3 px.
    return ToyRestorer(network, InputSpec(multiple_of=4 if strided else 1, halo=12 if strided else 2))


def photo(height, width, dtype="float32", channels=3):
    values = np.random.default_rng(0).random((height, width, channels), dtype=np.float32)
    return values if dtype == "float32" else (values * np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("size", [(97, 301), (260, 131), (64, 64)])
def test_tiled_equals_whole_for_bounded_receptive_field(strided, size):
    restorer, samples = convolutions(strided=strided), photo(*size)
    whole = restore_samples(restorer, samples, TilingOptions(tile_px=4096))
    tiled = restore_samples(restorer, samples, TilingOptions(tile_px=96))
    assert np.abs(tiled - whole).max() < 1e-5
    assert whole.shape == samples.shape


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    tile=st.integers(8, 120),
    multiple=st.sampled_from([1, 3, 8, 16]),
)
def test_any_size_is_covered_exactly_once(height, width, tile, multiple):
    restorer = ToyRestorer(lambda x: x * 0.5, InputSpec(multiple_of=multiple, minimum=5, halo=3))
    samples = photo(height, width)
    np.testing.assert_allclose(
        restore_samples(restorer, samples, TilingOptions(tile_px=tile)), samples * 0.5, atol=1e-6
    )
    assert all(h % multiple == 0 and w % multiple == 0 and min(h, w) >= 5 for h, w in restorer.seen)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
def test_identity_keeps_every_sample_in_every_depth(dtype, channels):
    samples = photo(130, 90, dtype, channels)
    restored = restore_samples(ToyRestorer(lambda x: x, InputSpec(halo=4)), samples, TilingOptions(tile_px=80))
    assert restored.dtype == samples.dtype
    np.testing.assert_array_equal(restored, samples) if dtype != "float32" else np.testing.assert_allclose(
        restored, samples, atol=1e-6
    )


def test_padding_is_a_reflection_that_does_not_repeat_the_edge():
    samples = photo(5, 6)
    seen = []
    restorer = ToyRestorer(lambda x: seen.append(x) or x, InputSpec(multiple_of=4, minimum=12))
    restore_samples(restorer, samples)
    expected = np.pad(samples, ((0, 7), (0, 6), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(seen[0][0].permute(1, 2, 0).numpy(), expected)


def test_shared_statistics_make_tiled_equal_whole():
    restorer, samples = MeanRestorer("shared"), photo(150, 170)
    assert isinstance(restorer, GlobalRestorer)
    expected = samples / samples.mean(axis=(0, 1), dtype=np.float64)
    tiled = restore_samples(restorer, samples, TilingOptions(tile_px=100))
    assert len(restorer.seen) > 1
    np.testing.assert_allclose(tiled, expected, rtol=1e-5)


def test_seam_score_of_blended_tiles_is_far_below_that_of_hard_cuts():
    """A restorer that normalises each tile by itself is the worst case: every tile has another gain."""
    ramp = np.linspace(0.2, 0.8, 400, dtype=np.float32)
    samples = np.repeat(np.repeat(ramp[None, :, None], 96, axis=0), 3, axis=2)
    restorer = MeanRestorer("overlap")
    blended = restore_samples(restorer, samples, TilingOptions(tile_px=128))
    cut = np.concatenate([piece / piece.mean(axis=(0, 1)) for piece in np.split(samples, 4, axis=1)], axis=1)
    assert seam_score(blended) < 0.15 * seam_score(cut)


def seam_score(restored):
    """Largest step between neighbouring columns: a smooth ramp has none, a seam is one."""
    return np.abs(np.diff(restored.mean(axis=(0, 2)))).max()


def test_whole_restorers_are_never_cut():
    restorer = MeanRestorer("whole")
    restore_samples(restorer, photo(150, 170), TilingOptions(tile_px=64))
    assert restorer.seen == [(150, 170)]


def test_out_of_memory_is_answered_with_smaller_tiles():
    def limited(tile):
        if tile.shape[-1] > 150:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        return tile * 2

    restorer, samples = ToyRestorer(limited, InputSpec(halo=2)), photo(90, 500)
    np.testing.assert_allclose(restore_samples(restorer, samples, TilingOptions(tile_px=512)), samples * 2, atol=1e-6)
    assert restorer.seen[0] == (90, 500)


def test_out_of_memory_everywhere_says_what_to_do():
    def never(tile):
        raise MemoryError

    with pytest.raises(MemoryLimitError, match=r"toy: 300x200 px do not fit in memory even with tiles"):
        restore_samples(ToyRestorer(never, InputSpec(halo=2)), photo(200, 300))
    with pytest.raises(MemoryLimitError, match="works on whole images"):
        restore_samples(ToyRestorer(never, InputSpec(tiling="whole")), photo(200, 300))


def test_whole_restorers_that_cannot_fit_are_refused_before_they_start():
    restorer = ToyRestorer(lambda x: x, InputSpec(tiling="whole", bytes_per_pixel=2**40))
    with pytest.raises(MemoryLimitError, match="choose a restorer that tiles"):
        restore_samples(restorer, photo(20, 20))
    assert restorer.seen == []


def test_other_errors_of_a_restorer_are_not_swallowed():
    def broken(tile):
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        restore_samples(ToyRestorer(broken, InputSpec()), photo(20, 20))


def test_strength_blends_linearly_with_the_input():
    samples = photo(40, 40)
    half = restore_samples(ToyRestorer(lambda x: x + 1, InputSpec()), samples, TilingOptions(strength=0.25))
    np.testing.assert_allclose(half, samples + 0.25, atol=1e-6)


def test_batches_keep_order_and_values_outside_the_unit_range():
    images = torch.randn(2, 3, 33, 47)
    np.testing.assert_allclose(restore_images(ToyRestorer(lambda x: -x, InputSpec()), images), -images, atol=1e-6)


def test_progress_counts_every_tile():
    calls = []
    options = TilingOptions(tile_px=100, on_tile=lambda done, total: calls.append((done, total)))
    restore_samples(ToyRestorer(lambda x: x, InputSpec(halo=2)), photo(200, 220), options)
    assert [done for done, _ in calls] == list(range(1, calls[-1][1] + 1))
    assert len(calls) > 1


@pytest.mark.parametrize(("size", "rows"), [((150, 200), 0), ((320, 300), 4)])
def test_memory_is_given_back_after_each_row_of_many_tiles(monkeypatch, size, rows):
    returned = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(malloc_trim=returned.append))
    restore_samples(ToyRestorer(lambda x: x, InputSpec(halo=0)), photo(*size), TilingOptions(tile_px=112))
    assert len(returned) == rows


def test_memory_that_cannot_be_given_back_is_no_error(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())  # another C library
    samples = photo(320, 300)
    restored = restore_samples(ToyRestorer(lambda x: x, InputSpec(halo=0)), samples, TilingOptions(tile_px=112))
    np.testing.assert_allclose(restored, samples, atol=1e-6)


def test_random_restorers_repeat_for_the_same_seed_only():
    class Noisy(ToyRestorer):
        def restore(self, degraded, *, generator=None):
            return degraded + torch.randn(degraded.shape, generator=generator)

    restorer, samples = Noisy(None, InputSpec()), photo(30, 30)
    first, again, other = (restore_samples(restorer, samples, TilingOptions(seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.1


def test_overview_is_the_area_average():
    samples = photo(101, 57, "uint16")
    overview = Canvas(samples, InputSpec(multiple_of=8)).overview(26)
    assert overview.shape == (1, 3, 26, 15)
    expected = samples[4:8, 8:12].mean(axis=(0, 1)) / 65535
    np.testing.assert_allclose(overview[0, :, 1, 2], expected, rtol=1e-5)
    corner = samples[100:, 56:].mean(axis=(0, 1)) / 65535
    np.testing.assert_allclose(overview[0, :, 25, 14], corner, rtol=1e-5)


def test_view_tiles_with_halo_partition_the_image():
    images = torch.rand(1, 3, 70, 90)
    view = TensorView(images, tile_px=32)
    rebuilt = torch.zeros_like(images)
    for tile, around, core in view.tiles(halo=5):
        top, left = core.top - around.top, core.left - around.left
        rebuilt[..., core.top : core.top + core.height, core.left : core.left + core.width] += tile[
            ..., top : top + core.height, left : left + core.width
        ]
    torch.testing.assert_close(rebuilt, images)
