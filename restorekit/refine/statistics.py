"""What the refinement of a tile must know of the whole image: some numbers per channel and a few small matrices."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from restorekit.refine.long_range import AttentionMatrix
from restorekit.refine.shared_norm import Moments

__all__ = ["Statistics"]


@dataclass(frozen=True)
class Statistics:
    """Everything in the module that looks at the whole image; None: not known, taken from the image at hand.

    ``survey`` finds them for an image that is too large to be refined at once. Without them tiles do not fit together:
    a 128 px quarter of a 256 px photo came out different by up to 0.02 with fresh weights, a tenth of the residual.
    """

    stem: Moments | None = None
    """Of the first convolution's result, for the first instance normalisation."""
    half: Moments | None = None
    """Of the second convolution's result."""
    attention: tuple[AttentionMatrix, ...] | None = None
    """One for each long-range block."""
    pooled: Float[Tensor, "batch channels"] | None = None
    """Means of the enhanced features, for the channel attention."""
    snr_peak: Float[Tensor, " batch"] | None = None
    """Largest signal-to-noise ratio, where that map takes the place of the range map."""
