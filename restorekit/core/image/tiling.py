"""Any size in bounded memory: cut, restore each tile, blend, in the depth of the file.

- Tiles overlap by twice (halo + ramp). The halo's pixels are thrown away, over the ramp neighbours are cross-faded
  with weights that add up to one. Where the receptive field is at most the halo, tiled equals whole.
- Finished rows are rounded to the file's depth at once: one band of tiles is the only float copy there ever is.
- Too little memory: the tiles are halved and the work starts again, down to a limit that is reported.
"""

import contextlib
import ctypes
import gc
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import psutil
import torch

from restorekit.core.image.canvas import Canvas, TensorView, round_up
from restorekit.core.image.convention import Images, Samples, check_images, from_images, quantise
from restorekit.core.randomness import generator_for
from restorekit.core.restorer import GlobalRestorer, InputSpec, Restorer, Window
from restorekit.errors import MemoryLimitError

__all__ = ["TensorView", "TilingOptions", "choose_tile", "fits_whole", "restore_images", "restore_samples"]

RAMP_PX = 16  # half the width of a cross-fade: 32 px hides a step of a few grey levels even in a clear sky
LARGEST_TILE_PX = 1024  # beyond it overlap costs little, while a tile's own copies fill memory and leave the caches
MANY_TILES = 8  # fewer leave little behind, and to fetch memory again costs time: milliseconds for 100 MB
CPU_BUDGET_BYTES = 480 * 2**20  # what tiles may use on a CPU however much is free: a photo never takes the machine


@dataclass(frozen=True)
class TilingOptions:
    """How an image is cut."""

    tile_px: int | None = None
    """Side of a tile with its overlap, in px; chosen from free memory when None."""
    strength: float = 1.0
    """0 returns the input, 1 the restored image, values between blend them linearly."""
    seed: int = 0
    """Stochastic restorers get a generator for (seed, place of the tile)."""
    on_tile: Callable[[int, int], None] | None = None
    """Called after each tile with (tiles done, tiles in all)."""
    on_answer: Callable[[Images, Images], None] | None = None
    """Called with what each tile contributes: its input and its answer, blended as ``strength`` asks, not clamped."""


def restore_samples(
    restorer: Restorer, samples: Samples, options: TilingOptions | None = None, *, dtype: npt.DTypeLike | None = None
) -> Samples:
    """Restore a photo of any size in bounded memory.

    Args:
        restorer: sees float32 images of batch one, padded and cut as its ``spec`` asks.
        samples: (height, width, 1 or 3); uint8, uint16 or float32. Gray comes back gray.
        options: tile size, strength, seed, progress.
        dtype: depth of the result; that of ``samples`` when None.

    Returns:
        The same shape as ``samples``; integer depths are clamped and rounded.

    Raises:
        MemoryLimitError: not even the smallest tiles fit, or an image that must not be cut does not.
    """
    options = options or TilingOptions()
    spec = restorer.spec
    if spec.tiling == "whole" and not fits_whole(restorer, samples):
        raise MemoryLimitError(_limit_message(restorer, samples, 0))  # asked before: an exhausted system kills
    tile_px = options.tile_px or choose_tile(spec, _device_of(restorer))
    while True:
        try:
            return _restore(restorer, samples, tile_px, options, dtype or samples.dtype)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            smaller = min(tile_px, max(samples.shape[:2])) // 2
            if spec.tiling == "whole" or smaller < _smallest_tile(spec):
                raise MemoryLimitError(_limit_message(restorer, samples, tile_px)) from None
            tile_px = smaller
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def restore_images(restorer: Restorer, images: Images, options: TilingOptions | None = None) -> Images:
    """``restore_samples`` for float tensors: each image of the batch is padded, cut and blended; nothing is clamped."""
    check_images(images, restorer.name)
    restored = [
        restore_samples(restorer, image.permute(1, 2, 0).float().cpu().numpy(), options) for image in images.detach()
    ]
    return torch.from_numpy(np.stack(restored)).permute(0, 3, 1, 2).contiguous().to(images.device)


def choose_tile(spec: InputSpec, device: torch.device) -> int:
    """Side of the largest tile, in px, whose working memory fits half of what is free (CPU: at most 480 MiB)."""
    if spec.tiling == "whole":
        return 2**31
    budget = _free_on(device) // 2
    if device.type != "cuda":
        budget = min(budget, CPU_BUDGET_BYTES)
    side = math.isqrt(max(budget, 1) // max(spec.bytes_per_pixel, 1))
    return max(min(side, LARGEST_TILE_PX), _smallest_tile(spec))


def fits_whole(restorer: Restorer, samples: Samples) -> bool:
    """Whether the working memory of ``restorer`` for the photo in one piece is free."""
    needed = samples.shape[0] * samples.shape[1] * restorer.spec.bytes_per_pixel
    return bool(needed <= _free_on(_device_of(restorer)))


def _restore(
    restorer: Restorer, samples: Samples, tile_px: int, options: TilingOptions, dtype: npt.DTypeLike
) -> Samples:
    """One attempt with one tile size."""
    height, width, channels = samples.shape
    canvas = Canvas(samples, restorer.spec, tile_px=min(tile_px, 1024))
    with torch.inference_mode():
        run = _tile_function(restorer, canvas)
    rows, columns = (_cut(length, tile_px, restorer.spec) for length in (canvas.height, canvas.width))
    restored = np.empty((height, width, channels), dtype=dtype)
    band = _Band(canvas.width, channels)
    done = 0
    for row, row_weights in zip(rows, _weights(rows), strict=True):
        band.extend_to(row.last)
        for column, column_weights in zip(columns, _weights(columns), strict=True):
            weight = row_weights[:, None, None] * column_weights[None, :, None]
            band.add(_contribution(run, canvas, row, column, options), row, column, weight)
            done += 1
            if options.on_tile:
                options.on_tile(done, len(rows) * len(columns))
        _write(restored, *band.take_until(row.settled))
        if len(rows) * len(columns) >= MANY_TILES:
            _give_back_memory()
    return restored


def _contribution(
    run: "TileFunction", canvas: Canvas, row: "_Span", column: "_Span", options: TilingOptions
) -> npt.NDArray[np.float32]:
    """What one tile contributes, without its halo; all other copies of the tile are gone when the next one is read."""
    window = canvas.window(row.start, column.start, row.stop, column.stop)
    tile = canvas.read(window)
    inside = (..., row.inside, column.inside)
    answer = _restore_tile(run, tile, window, options)[inside]
    if options.on_answer:
        options.on_answer(tile[inside], answer)
    return np.asarray(from_images(answer, np.float32, channels=canvas.samples.shape[2]), dtype=np.float32)


def _write(restored: Samples, top: int, finished: npt.NDArray[np.float32]) -> None:
    """Finished rows of the canvas into the photo, in its depth; what was padded is left out."""
    height, width, _ = restored.shape
    if top < height:
        restored[top : top + len(finished)] = quantise(finished[: height - top, :width], restored.dtype)


def _give_back_memory() -> None:
    """Freed memory goes back to the system where the C library keeps it: glibc kept 0.16 GB of 16 tiles of ``base``."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)


TileFunction = Callable[[Images, Window, torch.Generator], Images]


def _tile_function(restorer: Restorer, canvas: Canvas) -> TileFunction:
    """How one tile is restored; what a global restorer must know of the whole image is found here, once."""
    if restorer.spec.tiling == "shared" and isinstance(restorer, GlobalRestorer):
        code = restorer.survey(canvas)
        return lambda tile, window, generator: restorer.restore_tile(tile, code, window=window, generator=generator)
    return lambda tile, _, generator: restorer.restore(tile, generator=generator)


def _restore_tile(run: TileFunction, tile: Images, window: Window, options: TilingOptions) -> Images:
    """One tile, blended with its input as the strength asks."""
    with torch.inference_mode():
        result = run(tile, window, generator_for(options.seed, window.top, window.left)).float()
        if options.strength != 1.0:
            result = torch.lerp(tile, result, options.strength)
    return result


@dataclass(frozen=True)
class _Span:
    """One tile along one axis, in px: it reads [start, stop) and contributes to [first, last)."""

    start: int
    stop: int
    first: int
    last: int
    settled: int
    """No later tile contributes before this place."""

    @property
    def inside(self) -> slice:
        """What contributes, counted from the tile's own start."""
        return slice(self.first - self.start, self.last - self.start)


class _Band:
    """The rows that are being blended: the only float copy of the image, as high as one tile."""

    def __init__(self, width: int, channels: int) -> None:
        self.top = 0
        self.rows = np.zeros((0, width, channels), dtype=np.float32)

    def extend_to(self, last: int) -> None:
        """Make room for contributions up to row ``last``."""
        missing = last - self.top - len(self.rows)
        self.rows = np.concatenate([self.rows, np.zeros((missing, *self.rows.shape[1:]), dtype=np.float32)])

    def add(self, tile: npt.NDArray[np.float32], row: _Span, column: _Span, weight: npt.NDArray[np.float32]) -> None:
        """Add what a tile contributes, weighted."""
        self.rows[row.first - self.top : row.last - self.top, column.first : column.last] += weight * tile

    def take_until(self, settled: int) -> tuple[int, npt.NDArray[np.float32]]:
        """Remove and return the finished rows: (place of the first one, the rows)."""
        top, count = self.top, settled - self.top
        finished, self.rows, self.top = self.rows[:count], self.rows[count:].copy(), settled
        return top, finished


def _cut(length: int, tile_px: int, spec: InputSpec) -> list[_Span]:
    """Cover [0, length) with tiles of about ``tile_px`` that start and stop at multiples of ``spec.multiple_of``."""
    if length <= tile_px or spec.tiling == "whole":
        return [_Span(0, length, 0, length, length)]
    step, margin = spec.multiple_of, spec.halo + RAMP_PX
    core = max(tile_px - 2 * margin, 2 * (2 * RAMP_PX + step))  # no pixel is ever shared by three tiles
    count = -(-length // core)
    edges = sorted({min(round_up(index * length // count, step), length) for index in range(count + 1)})
    return [
        _Span(
            start=max(low - margin, 0) // step * step,
            stop=min(round_up(high + margin, step), length),
            first=max(low - RAMP_PX, 0),
            last=min(high + RAMP_PX, length),
            settled=high if high == length else high - RAMP_PX,
        )
        for low, high in itertools.pairwise(edges)
    ]


def _weights(spans: list[_Span]) -> list[npt.NDArray[np.float32]]:
    """Cross-fade weights of each tile over its [first, last): at every pixel they add up to one."""
    weights = [np.ones(span.last - span.first, dtype=np.float32) for span in spans]
    for (left, right), (before, after) in zip(itertools.pairwise(weights), itertools.pairwise(spans), strict=True):
        overlap = before.last - after.first
        left[-overlap:] *= 1 - _fade(overlap)
        right[:overlap] *= _fade(overlap)
    return weights


def _fade(length: int) -> npt.NDArray[np.float32]:
    """A raised cosine from 0 to 1, sampled at pixel centres."""
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)).astype(np.float32)


def _smallest_tile(spec: InputSpec) -> int:
    """Below this side a tile would be nothing but overlap."""
    return max(spec.minimum, 2 * (spec.halo + RAMP_PX) + max(64, spec.multiple_of))


def _device_of(restorer: Restorer) -> torch.device:
    return torch.device(getattr(restorer, "device", "cpu"))


def _free_on(device: torch.device) -> int:
    """Memory that can still be taken, in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def _is_out_of_memory(error: BaseException) -> bool:
    """PyTorch's CPU allocator reports exhaustion as a plain RuntimeError; only its text tells."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or ("alloc" in text and "memory" in text)


def _limit_message(restorer: Restorer, samples: Samples, tile_px: int) -> str:
    height, width = samples.shape[:2]
    if restorer.spec.tiling == "whole":
        return (
            f"{restorer.name}: {width}x{height} px do not fit in memory and this restorer works on whole images; "
            "reduce the image or choose a restorer that tiles (see 'restorekit models list')"
        )
    return (
        f"{restorer.name}: {width}x{height} px do not fit in memory even with tiles of {min(tile_px, width)} px; "
        "close other programs or use a smaller model"
    )
