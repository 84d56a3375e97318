"""Whether a restorer has run away, and what is done then: every answer is compared with its input, block by block.

Networks that have never seen an input may answer with saturated colours, checkerboards or NaN, in a few tiles or
everywhere. What a restoration may do is known: it changes tone and contrast of the whole photo, and removes or adds
fine detail within reason. What it may not do is measured here on blocks of 16x16 px, so it costs about as much as
reading the photo twice.

A runaway photo is restored again in one piece and float32; if that runs away, too, the input is kept. Formulas (the
classical restorers) cannot run away and are not watched: gray-world may well multiply a colour by ten.
"""

from dataclasses import dataclass, replace

import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from restorekit.core.image.convention import Images, Samples, convert_depth
from restorekit.core.image.tiling import TilingOptions, fits_whole, restore_samples
from restorekit.core.repetition import repeated_share
from restorekit.core.restorer import Restorer
from restorekit.errors import MemoryLimitError

__all__ = ["GuardStatistics", "Guarded", "Watch", "find_blow_up", "restore_guarded"]

BLOCK_PX = 16
FAR_OUTSIDE = 0.5
"""A value so far beyond [0, 1] is no overshoot at an edge."""
TAIL = 0.995
"""Quantile over blocks: a blow-up in one tile of two hundred is seen, one odd block is not."""
SPREAD = (0.1, 0.9)
"""Quantiles of the block means whose distance is the contrast of a photo."""
SHADOW = 0.02
"""Deviation, in [0, 1], that is never called growth: five grey levels."""

MOST_OUTSIDE = 0.01
"""Clean twins: 0."""
MOST_GROWTH = 4.5
"""Clean halves of real pairs as answers to their degraded ones: 3.8 at most (motion blur), low light 3.0, haze 2.4."""
MOST_SHIFT = 0.9
"""The same: 0.65 at most (low light), else 0.22; a tile of one saturated colour: 1.4 at least."""
LEAST_AGREEMENT = 0.0
"""The same: 0.32 at least (dense rain)."""
MOST_REPETITION = 0.25
"""Clean photos as answers to flat gray: 0.15 at most."""


@dataclass(frozen=True)
class GuardStatistics:
    """How far an output is from anything its input explains."""

    outside: float
    """Share of values further than 0.5 beyond [0, 1] minus that in the input."""
    growth: float
    """Local deviation of the output over that of the input, both relative to the photo's contrast; 1: as before."""
    shift: float
    """Change of colour of a block, after the change that the whole photo underwent; in [0, 1] units."""
    agreement: float
    """Correlation of the block means of output and input: 1 if bright stays bright; 1 for flat photos."""
    repetition: float
    """Share of the fine detail that repeats every 16 px where that of the input does not; see ``core.repetition``."""


@dataclass(frozen=True)
class Guarded:
    """A restored photo, or its input."""

    samples: Samples
    trouble: str | None = None
    """What was wrong with the first answer; None: nothing."""
    kept: bool = False
    """Whether ``samples`` are the input, because no answer was right."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line where there was trouble, for the photo's record."""
        if self.trouble is None:
            return ()
        end = "the input is kept" if self.kept else "restored again in one piece and float32"
        return (f"blow-up: {self.trouble}; {end}",)


def restore_guarded(
    restorer: Restorer,
    samples: Samples,
    options: TilingOptions | None = None,
    *,
    dtype: npt.DTypeLike | None = None,
    watched: bool = True,
) -> Guarded:
    """``restore_samples`` for restorers that may run away; same arguments, same errors; not ``watched``: the same.

    The second attempt is made only where it can differ: there were several tiles and the photo fits memory in one
    piece, or the precision was lower than float32.
    """
    options = options or TilingOptions()
    if not watched or getattr(restorer, "formula", False):
        return Guarded(restore_samples(restorer, samples, options, dtype=dtype))
    restored, watch = _watched(restorer, samples, options, dtype)
    trouble = watch.find_blow_up()
    if trouble is None:
        return Guarded(restored)
    precision = getattr(restorer, "precision", "float32")
    whole = watch.tiles > 1 and fits_whole(restorer, samples)
    if whole or precision != "float32":
        careful = replace(options, tile_px=2**31) if whole else options
        device = torch.device(getattr(restorer, "device", "cpu"))
        try:
            restored, watch = _watched(restorer.to(device, "float32"), samples, careful, dtype)
        except MemoryLimitError:
            pass  # what was to be mended stays as it was: the input is kept
        finally:
            restorer.to(device, precision)
        if watch.find_blow_up() is None:
            return Guarded(restored, trouble)
    return Guarded(convert_depth(samples, dtype or samples.dtype), trouble, kept=True)


def find_blow_up(restored: Images, degraded: Images) -> str | None:
    """The reason why ``restored`` cannot be a restoration of ``degraded``, or None.

    Args:
        restored: (batch, 3, height, width), nominally in [0, 1], not clamped yet.
        degraded: its input, same shape.

    Returns:
        One line without the name of the photo, such as "local contrast grew 41 times", or None; of a batch, that of the
        first photo which has one.
    """
    for index in range(len(restored)):
        watch = Watch()
        watch.see(degraded[index : index + 1], restored[index : index + 1])
        if (reason := watch.find_blow_up()) is not None:
            return reason
    return None


class Watch:
    """Sees the tiles of one photo with their answers, and knows of the whole photo afterwards."""

    def __init__(self) -> None:
        self.tiles = 0
        self._values = self._broken = self._outside = 0
        self._blocks: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self._repetition: list[Tensor] = []

    @torch.no_grad()
    def see(self, degraded: Images, answer: Images) -> None:
        """Remember a tile by its blocks: input and answer, (1, 3, height, width) each."""
        self.tiles += 1
        self._values += answer.numel()
        self._broken += int((~torch.isfinite(answer)).sum())
        answer = answer.float().nan_to_num(0.0, 0.0, 0.0)
        self._outside += _far_outside(answer) - _far_outside(degraded)
        answer, degraded = answer.clamp(-1, 2), degraded.float()
        side = min(BLOCK_PX, *answer.shape[-2:])
        self._blocks.append((*_blocks(answer, side), *_blocks(degraded, side)))
        self._repetition.append(repeated_share(answer, degraded))

    def find_blow_up(self) -> str | None:
        """The reason why the answers cannot be a restoration of what was given, or None."""
        if self._broken:
            return f"{self._broken} of {self._values} values are NaN or infinite"
        found = self.statistics()
        if found.outside > MOST_OUTSIDE:
            return f"{found.outside:.1%} of the values lie far outside [0, 1]"
        if found.growth > MOST_GROWTH:
            return f"local contrast grew {found.growth:.0f} times"
        if found.shift > MOST_SHIFT:
            return f"the colour of some places moved by {found.shift:.2f} of the full range"
        if found.agreement < LEAST_AGREEMENT:
            return f"bright and dark places were exchanged (correlation {found.agreement:.2f})"
        if found.repetition > MOST_REPETITION:
            return f"{found.repetition:.0%} of the detail of some places is a pattern that repeats every 16 px or less"
        return None

    @torch.no_grad()
    def statistics(self) -> GuardStatistics:
        """The five numbers behind ``find_blow_up``; of a photo with at least one tile, all values finite."""
        after, after_detail, before, before_detail = (
            torch.cat(parts, dim=-1) for parts in zip(*self._blocks, strict=True)
        )
        contrast = max(_contrast(after.mean(dim=0)) / _contrast(before.mean(dim=0)), 1.0)
        growth = after_detail / (contrast * before_detail + SHADOW)
        shift = _unexplained_colour(_chroma(after), _chroma(before), contrast)
        return GuardStatistics(
            outside=max(self._outside / self._values, 0.0),
            growth=_tail(growth),
            shift=_tail(shift),
            agreement=_correlation(after.mean(dim=0), before.mean(dim=0)),
            repetition=_tail(torch.cat([*self._repetition, after.new_zeros(1)])),
        )


def _watched(
    restorer: Restorer, samples: Samples, options: TilingOptions, dtype: npt.DTypeLike | None
) -> tuple[Samples, Watch]:
    """The restored photo and what was seen of its answers."""
    watch = Watch()
    restored = restore_samples(restorer, samples, replace(options, on_answer=watch.see), dtype=dtype)
    return restored, watch


def _far_outside(images: Images) -> int:
    return int(((images < -FAR_OUTSIDE) | (images > 1 + FAR_OUTSIDE)).sum())


def _blocks(images: Images, side: int) -> tuple[Float[Tensor, "3 blocks"], Float[Tensor, "blocks"]]:
    """Mean colour of every block, and the deviation within it (root mean square over the channels)."""
    means = avg_pool2d(images, side).flatten(2)[0]
    squares = avg_pool2d(images.square(), side).flatten(2)[0]
    return means, (squares - means.square()).clamp_min(0).mean(dim=0).sqrt()


def _contrast(levels: Float[Tensor, "blocks"]) -> float:
    """Range of the block means without its extremes."""
    low, high = (float(torch.quantile(levels, q)) for q in SPREAD)
    return max(high - low, 1e-2)


def _tail(values: Float[Tensor, "blocks"]) -> float:
    return float(torch.quantile(values, TAIL))


def _chroma(means: Float[Tensor, "3 blocks"]) -> Float[Tensor, "2 blocks"]:
    return torch.stack([means[0] - means[1], means[2] - means[1]])


def _unexplained_colour(
    after: Float[Tensor, "2 blocks"], before: Float[Tensor, "2 blocks"], contrast: float
) -> Float[Tensor, "blocks"]:
    """Distance of each block's colour from all that a change of contrast and one cast of the photo can explain.

    Colours may grow with the contrast or stay: every factor between 1 and ``contrast`` is allowed, per block.
    """
    after = after - (after - before).median(dim=1, keepdim=True).values
    along = (after * before).sum(dim=0) / before.square().sum(dim=0).clamp_min(1e-6)
    distance: Tensor = (after - along.clamp(1.0, contrast) * before).norm(dim=0)
    return distance


def _correlation(left: Float[Tensor, "blocks"], right: Float[Tensor, "blocks"]) -> float:
    a, b = left - left.mean(), right - right.mean()
    scale = float(a.norm() * b.norm())
    return float((a * b).sum()) / scale if scale > 1e-3 else 1.0
