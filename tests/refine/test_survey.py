"""Tiled equals whole: the statistics of an image are found tile by tile, in the memory of one tile."""

import pytest
import torch
import torch.nn.functional as F

from restorekit.core.image.canvas import Canvas
from restorekit.core.image.tiling import TilingOptions, restore_images
from restorekit.core.networks.measure import peak_bytes_per_pixel
from restorekit.core.restorer import GlobalRestorer, InputSpec, Window
from restorekit.errors import ImageError
from restorekit.refine.config import TABLE_3, RefinementConfig
from restorekit.refine.module import HALO_PX, RefinementModule
from restorekit.refine.shared_norm import Moments, SharedInstanceNorm, merge
from restorekit.refine.survey import TilePair, pair_views, survey

SPEC = InputSpec(multiple_of=4, tiling="shared", halo=HALO_PX)


def cut(restored, degraded, tile=72):
    """The tiles of two images in memory, any number of planes."""
    height, width = restored.shape[2:]

    def window(top, left, bottom, right):
        top, left, bottom, right = max(top, 0), max(left, 0), min(bottom, height), min(right, width)
        return Window(top, left, bottom - top, right - left, full_height=height, full_width=width)

    def read(images, where):
        return images[:, :, where.top : where.top + where.height, where.left : where.left + where.width]

    def tiles(halo):
        reach = -(-halo // 4) * 4
        for top in range(0, height, tile):
            for left in range(0, width, tile):
                core = window(top, left, top + tile, left + tile)
                around = window(top - reach, left - reach, top + tile + reach, left + tile + reach)
                yield TilePair(read(restored, around), read(degraded, around), around, core)

    return tiles


def put_together(tiles, refine, like):
    out = torch.empty_like(like)
    for pair in tiles:
        core, window = pair.core, pair.window
        top, left = core.top - window.top, core.left - window.left
        refined = refine(pair)[:, :, top : top + core.height, left : left + core.width]
        out[:, :, core.top : core.top + core.height, core.left : core.left + core.width] = refined
    return out


@pytest.mark.parametrize(
    ("row", "size"),
    [
        ("full", (136, 148)),
        ("without_spatial_varying", (212, 8)),
        ("without_channel_attention", (8, 212)),
        ("snr_mask", (212, 8)),
        ("concat_2d", (16, 212)),
    ],
)
def test_tiles_with_shared_statistics_equal_the_whole(build, draw, row, size) -> None:
    module = build(**TABLE_3[row])
    restored, degraded, prior = draw(1, *size, prior=(512, 2, 3) if row == "concat_2d" else (512,))
    tiles = cut(restored, degraded)
    known = survey(module, tiles, prior)

    def refine(pair):
        return module(pair.restored, pair.degraded, prior, statistics=known, window=pair.window)

    with torch.no_grad():
        whole = module(restored, degraded, prior)
        torch.testing.assert_close(put_together(tiles(HALO_PX), refine, whole), whole, atol=1e-9, rtol=1e-9)


def test_tiles_by_themselves_differ_from_the_whole(build, draw) -> None:
    """The error that statistics remove: here as large as the refinement itself."""
    module, (restored, degraded, prior) = build(), draw(1, 16, 212)
    with torch.no_grad():
        whole = module(restored, degraded, prior)
        naive = put_together(
            cut(restored, degraded)(HALO_PX),
            lambda pair: module(pair.restored, pair.degraded, prior, window=pair.window),
            whole,
        )
    assert (naive - whole).abs().max() > 0.1 * (whole - restored).std()


def test_statistics_are_those_of_the_whole_image(build, draw) -> None:
    module, (restored, degraded, prior) = build(), draw(1, 84, 80)
    known = survey(module, cut(restored, degraded), prior)
    with torch.no_grad():
        stem = module.encoder.stem(torch.cat([restored, degraded], dim=1))
        torch.testing.assert_close(known.stem.mean, stem.mean((2, 3)))
        torch.testing.assert_close(known.stem.variance, stem.var((2, 3), correction=0))
        assert known.stem.pixels == 84 * 80
        assert len(known.attention) == 4
        assert known.snr_peak is None


class Refined:
    """A pointwise base and the module, as a restorer of the core: what refine's own restorer does at its simplest."""

    name, spec = "refined", SPEC

    def __init__(self, module, prior):
        self.module, self.prior = module, prior

    def to(self, device, precision="float32"):
        return self

    def restore(self, degraded, *, generator=None):
        return self.module(base(degraded), degraded, self.prior)

    def survey(self, view):
        def tiles(halo):
            for tile, window, core in view.tiles(halo=halo):
                yield TilePair(base(tile), tile, window, core)

        return survey(self.module, tiles, self.prior)

    def restore_tile(self, degraded, code, *, window, generator=None):
        return self.module(base(degraded), degraded, self.prior, statistics=code, window=window)


def base(images):
    return images.sqrt()


def test_tiler_gives_the_whole_in_float32() -> None:
    torch.manual_seed(0)
    module = RefinementModule(RefinementConfig(compose="residual", parity="official"))
    restorer = Refined(module, F.normalize(torch.randn(1, 512), dim=1))
    assert isinstance(restorer, GlobalRestorer)
    smooth = F.interpolate(torch.rand(1, 3, 9, 11), (210, 266), mode="bicubic").clamp(0, 1)
    images = (smooth + 0.05 * torch.randn_like(smooth)).clamp(0, 1)
    calls = []
    options = TilingOptions(tile_px=212, on_tile=lambda done, total: calls.append(total))
    tiled = restore_images(restorer, images, options)
    with torch.no_grad():
        padded = F.pad(images, (0, 2, 0, 2), mode="reflect")
        whole = restorer.restore(padded)[:, :, :210, :266]
    assert calls[-1] > 1
    assert (tiled - whole).abs().max() < 1e-5


def test_tiles_in_bfloat16_stay_close_to_the_whole_in_float32(draw) -> None:
    module = RefinementModule(RefinementConfig(parity="official"))
    restored, degraded, prior = (values.float() for values in draw(1, 8, 212))
    tiles = cut(restored, degraded)
    with torch.no_grad():
        whole = module(restored, degraded, prior)
        with torch.autocast("cpu", torch.bfloat16):
            known = survey(module, tiles, prior)
            refined = put_together(
                tiles(HALO_PX),
                lambda pair: module(pair.restored, pair.degraded, prior, statistics=known, window=pair.window),
                whole,
            )
    assert known.stem.mean.dtype == torch.float32
    assert known.attention[0].dtype == torch.float32
    assert 0 < (refined - whole).abs().max() < 1e-2


def test_survey_needs_the_memory_of_a_tile_however_large_the_image() -> None:
    module = RefinementModule(RefinementConfig())
    prior = torch.zeros(1, 512)

    def peak(columns):
        width = 48 * columns

        def tiles(halo):
            for index in range(columns):
                left, right = max(48 * index - halo, 0), min(48 * (index + 1) + halo, width)
                window = Window(0, left, 16, right - left, full_height=16, full_width=width)
                images = torch.rand(1, 3, 16, right - left)
                yield TilePair(images, images, window, Window(0, 48 * index, 16, 48, 16, width))

        return peak_bytes_per_pixel(lambda _: survey(module, tiles, prior), torch.empty(1, 3, 1, 1))

    assert peak(12) < 1.02 * peak(4)


def test_views_of_different_sizes_are_refused(draw) -> None:
    views = [Canvas(torch.rand(16, width, 3).numpy(), SPEC, tile_px=16) for width in (32, 36)]
    with pytest.raises(ImageError, match="expected the same tiles of both images"):
        list(pair_views(*views)(0))


def test_views_of_the_same_size_are_paired() -> None:
    first, second = (Canvas(torch.rand(20, 32, 3).numpy(), SPEC, tile_px=16) for _ in range(2))
    pairs = list(pair_views(first, second)(4))
    assert [(pair.core.top, pair.core.left) for pair in pairs] == [(0, 0), (0, 16), (16, 0), (16, 16)]
    torch.testing.assert_close(pairs[1].restored, first.read(pairs[1].window))
    torch.testing.assert_close(pairs[1].degraded, second.read(pairs[1].window))


# ------------------------------------------------------------------------------------------------------------- moments


def test_merged_moments_are_those_of_the_whole_even_far_from_zero() -> None:
    features = torch.randn(2, 3, 10, 11) + 1000
    merged = merge(Moments.of(part) for part in torch.split(features, [1, 4, 5], dim=2))
    exact = features.double()
    torch.testing.assert_close(merged.mean.double(), exact.mean((2, 3)), rtol=1e-6, atol=0)
    torch.testing.assert_close(merged.variance.double(), exact.var((2, 3), correction=0), rtol=1e-3, atol=0)
    assert merged.pixels == 110


def test_norm_with_given_moments_equals_pytorchs_instance_norm(released) -> None:
    ours, features = released.shaken(SharedInstanceNorm(3)).double(), torch.randn(2, 3, 5, 4).double()
    expected = F.instance_norm(features, weight=ours.weight, bias=ours.bias)
    torch.testing.assert_close(ours(features, Moments.of(features)), expected)
    torch.testing.assert_close(ours(features), expected)
