"""How a comparison is run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ComparisonOptions"]


@dataclass(frozen=True)
class ComparisonOptions:
    """How a comparison is run. The degraded input and all classical restorers take part whatever is chosen here."""

    metrics: Sequence[str] = ()
    """Metric texts; PSNR and SSIM with a reference, NIQE without, when empty."""
    preset: str | None = None
    """A field's protocol, such as ``kair`` or ``basicsr-y``."""
    device: str = "auto"
    precision: str = "auto"
    seed: int = 0
    seeds: int = 1
    """How many seeds stochastic restorers are run with: seed, seed + 1, ...; the degradation stays that of seed."""
    tile_px: int | None = None
    photos: int | None = None
    """At most this many of the photos, evenly spaced in their order; None: all."""
    crop_px: int | None = None
    """Photos are cut to their centre, at most so high and wide, once they are degraded and before they are restored;
    None: they stay whole."""
    region_megapixels: float = 2**20 / 1e6
    """Largest measured region of one image, in millions of pixels; 2^20 px by default."""
    pictures: int = 6
    """How many images are kept as pictures for the contact sheet and the page."""
    costs: bool = True
    """Whether weights and MACs are measured, by restoring one more image of 256x256 px with each model asked for."""
    label: str | None = None
    """What degraded photos are said to be, such as ``noise:sigma=30``; the report audits whether they are. None: the
    degradation, where they are made here, and no audit elsewhere."""
    journal: Path | None = None
    """Folder that remembers what is done; an interrupted comparison goes on there. Whoever names one clears it;
    ``restorekit.compare`` with an output folder keeps one there while it works. See ``comparison.journal``."""
    command: str = ""
    """What to record as the command of the run."""
