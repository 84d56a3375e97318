"""Suite ``tiling``: cutting a photo into overlapping tiles, against restoring it in one piece.

Overlap is computed twice or more often; the factor is counted, by a restorer that adds up the pixels it is shown. What
tiling costs beyond that factor is the tiler's own: the limit is the one-piece time of the same run times the factor.
"""

import statistics
from collections.abc import Callable, Iterator

import torch
from limits import in_words, threads
from peers import our_restorer
from photos import make_photo
from results import Row, measured
from setting import Setting
from timing import time_paired

from restorekit.core.image.convention import Images, to_images
from restorekit.core.image.tiling import TilingOptions, restore_samples
from restorekit.core.restorer import InputSpec, Restorer

__all__ = ["overlap_factor", "run"]

NETWORK = "base"
TILES_PX = (384, 512, 768)  # asked for less, the tiler gives 342 px: the halo around its least core


class PixelCounter:
    """A restorer that returns its input and adds up its pixels."""

    name = "pixel counter"

    def __init__(self, spec: InputSpec) -> None:
        self.spec = spec
        self.pixels = 0

    def to(self, device: torch.device, precision: str = "float32") -> "PixelCounter":  # noqa: ARG002
        """Nothing to move."""
        return self

    def restore(self, degraded: Images, *, generator: torch.Generator | None = None) -> Images:  # noqa: ARG002
        """The input."""
        self.pixels += degraded.shape[0] * degraded.shape[2] * degraded.shape[3]
        return degraded


def run(setting: Setting) -> Iterator[Row]:
    """The tiler with one tile, then with smaller and smaller ones; all in the same rounds."""
    side = setting.size(1024, 128)
    tiles = tuple(reversed(TILES_PX)) if not setting.smoke else (112,)
    photo = make_photo(0, height=side, width=side)
    restorer = our_restorer(NETWORK, "float32")
    images = to_images(photo)

    def tiled(tile_px: int) -> Callable[[], object]:
        return lambda: restore_samples(restorer, photo, TilingOptions(tile_px))

    for count in setting.threads:
        with threads(count):
            candidates = {"bare": lambda: restorer.restore(images), "whole": tiled(side)}
            seconds = time_paired(candidates | {f"{tile}": tiled(tile) for tile in tiles}, setting.budget)
        end = f"{NETWORK}, {side}x{side}, float32, {in_words(count)}"
        megapixels = side**2 / 1e6
        yield measured(
            f"one piece, {end}", "restore_samples", seconds["whole"], peer="restore() on the tensor",
            peer_seconds=seconds["bare"], megapixels=megapixels, note="padding, conversion, rounding",
        )  # fmt: skip
        for tile in tiles:
            factor = overlap_factor(restorer, side, tile)
            yield measured(
                f"tiles of {tile} px, {end}",
                "restore_samples",
                seconds[f"{tile}"],
                peer="one piece",
                peer_seconds=seconds["whole"],
                megapixels=megapixels,
                least_seconds=factor * statistics.median(seconds["whole"]),
                target=round(0.9 / factor, 3),
                note=f"overlap factor {factor:.2f}, halo {restorer.spec.halo} px; target is 0.9 / factor",
            )


def overlap_factor(restorer: Restorer, side: int, tile_px: int) -> float:
    """Pixels that a restorer is shown in tiles of ``tile_px``, by those of the image: (side, side)."""
    counter = PixelCounter(restorer.spec)
    restore_samples(counter, make_photo(0, height=side, width=side), TilingOptions(tile_px))
    return counter.pixels / side**2
