"""The statistics of a whole image, found tile by tile: memory stays that of one tile however large the image is.

One pass per statistic, since each depends on those before: two normalisations, an attention matrix for each block, one
pooling. A pass computes only what lies before its statistic; together they cost 55 % of a refinement, halos apart.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch

from restorekit.core.networks.base import PlainImages
from restorekit.core.restorer import WholeView, Window
from restorekit.errors import ImageError
from restorekit.refine.long_range import Products, attention_matrix, products
from restorekit.refine.module import RefinementModule
from restorekit.refine.shapes import DegradedImages, Features, PreparedPrior, Prior
from restorekit.refine.shared_norm import Moments, merge
from restorekit.refine.signal_to_noise import snr_ratio
from restorekit.refine.statistics import Statistics
from restorekit.refine.strips import SCALE, feature_window

__all__ = ["TilePair", "TilePairs", "pair_views", "survey"]

ENCODER_REACH_PX = 4  # radius of what a feature pixel depends on, once the moments are known
BLOCK_REACH_PX = 8  # each long-range block adds two 3x3 convolutions of feature pixels


@dataclass(frozen=True)
class TilePair:
    """The same tile of the restored and of the degraded image, each a batch of one."""

    restored: PlainImages
    degraded: DegradedImages
    window: Window
    """Where the tile lies in the whole image, in px, all multiples of four."""
    core: Window
    """The part of it that no other tile has as its core."""


TilePairs = Callable[[int], Iterable[TilePair]]
"""The tiles of an image with a halo of at least so many px; asked for once per pass."""


def survey(module: RefinementModule, tiles: TilePairs, prior: Prior | None = None) -> Statistics:
    """What ``module`` must know of a whole image to refine it tile by tile.

    Args:
        module: on the device and in the precision of the tiles.
        tiles: a fresh partition of the image at each call.
        prior: as for ``RefinementModule.forward``, batch of one.

    Returns:
        Statistics for ``RefinementModule.forward``; tiles with a halo of ``HALO_PX`` then equal the whole image.
    """
    with torch.no_grad():
        known = replace(Statistics(), stem=merge(_moments(pair, _stem(module, pair)) for pair in tiles(SCALE)))
        known = replace(known, half=merge(_moments(pair, _half(module, pair, known)) for pair in tiles(SCALE)))
        if module.config.fusion == "snr":
            peaks = [snr_ratio(module.view_of(pair.degraded)).amax(dim=(1, 2, 3)) for pair in tiles(SCALE)]
            known = replace(known, snr_peak=torch.stack(peaks).amax(dim=0))
        if module.enhancement is not None:
            known = replace(known, attention=())
            for index in range(len(module.enhancement.long.blocks)):
                known = replace(known, attention=(*(known.attention or ()), _matrix(module, tiles, index, known)))
        if module.config.channel_attention:
            prepared, reach = module.prepare(prior), ENCODER_REACH_PX + BLOCK_REACH_PX * len(known.attention or ())
            enhanced = (_moments(pair, _enhanced(module, pair, prepared, known)) for pair in tiles(reach))
            known = replace(known, pooled=merge(enhanced).mean)
    return known


def pair_views(restored: WholeView, degraded: WholeView) -> TilePairs:
    """The tiles of two views of the same size and partition.

    Raises:
        ImageError: when iterated, if sizes or partitions differ.
    """

    def tiles(halo: int) -> Iterator[TilePair]:
        for (first, window, core), (second, other, _) in zip(
            restored.tiles(halo=halo), degraded.tiles(halo=halo), strict=False
        ):
            if window != other:
                raise ImageError(f"refine: expected the same tiles of both images, got {window} and {other}")
            yield TilePair(first, second, window, core)

    return tiles


def _stem(module: RefinementModule, pair: TilePair) -> Features:
    return module.encoder.stem(torch.cat([pair.restored, pair.degraded], dim=1))  # type: ignore[no-any-return]


def _half(module: RefinementModule, pair: TilePair, known: Statistics) -> Features:
    return module.encoder.half_features(pair.restored, pair.degraded, known.stem)


def _enhanced(module: RefinementModule, pair: TilePair, prepared: PreparedPrior | None, known: Statistics) -> Features:
    features = module.encoder(pair.restored, pair.degraded, known)
    return module.enhance(features, pair.degraded, prepared, feature_window(pair.window), known)


def _matrix(module: RefinementModule, tiles: TilePairs, index: int, known: Statistics) -> torch.Tensor:
    """The attention matrix of block ``index``, given those before it."""
    assert module.enhancement is not None
    long, sums = module.enhancement.long, None
    for pair in tiles(ENCODER_REACH_PX + BLOCK_REACH_PX * index + SCALE):
        features = long(module.encoder(pair.restored, pair.degraded, known), known.attention)
        part: Products = products(long.block(index), features, _inner(pair, SCALE))
        sums = part if sums is None else sums + part
    assert sums is not None
    return attention_matrix(long.block(index), sums)


def _moments(pair: TilePair, features: Features) -> Moments:
    """Of the tile's core."""
    return Moments.of(features[:, :, *_inner(pair, pair.window.height // features.shape[2])])


def _inner(pair: TilePair, pixels: int) -> tuple[slice, slice]:
    """Rows and columns of the core within the tile, where a feature stands for ``pixels`` x ``pixels``."""
    window, core = pair.window, pair.core
    top, left = (core.top - window.top) // pixels, (core.left - window.left) // pixels
    return slice(top, top + core.height // pixels), slice(left, left + core.width // pixels)
