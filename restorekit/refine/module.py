"""PTG-RM, the pre-train-guided refinement module R: I_bar = R(I_hat, I_d, g).

Xu, Kong, Hu, Liu, Bao 2024, "Boosting Image Restoration via Priors from Pre-trained Models" (CVPR, arXiv:2403.06793).
Written from the paper; what it leaves open follows the measured behaviour of the authors' code.

- It refines the result of any restorer: it needs the restored image, the degraded one and a prior, nothing else.
- With gradients everything runs on whole images and little is kept; without, the widest layers run on strips of rows.
- Given ``Statistics`` of the whole image, the refinement of a tile is that of the whole.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.networks.base import PlainImages
from restorekit.core.restorer import Window
from restorekit.errors import ImageError, ModelError
from restorekit.refine.autoencoder import DECODER_HALO, Decoder, Encoder
from restorekit.refine.channel_spatial import ChannelSpatialAttention
from restorekit.refine.config import RefinementConfig
from restorekit.refine.shapes import DegradedImages, Features, PreparedPrior, Prior
from restorekit.refine.signal_to_noise import snr_map
from restorekit.refine.spatial_varying import SpatialVaryingEnhancement
from restorekit.refine.statistics import Statistics
from restorekit.refine.strips import SCALE, feature_window, strips

__all__ = ["HALO_PX", "MULTIPLE_OF", "RefinementModule", "check_prior", "prepared", "projection_of"]

HALO_PX = 56
"""Radius of the receptive field in px, once the statistics are known: tiles with this halo equal the whole."""

MULTIPLE_OF = SCALE
"""Height and width of the images are multiples of this, in px; the tiler sees to it."""


class RefinementModule(nn.Module):
    """Encoder, spatial-varying enhancement, channel-spatial attention, decoder (figure 2 of the paper).

    The decoder's answer is used in one of two ways:

    - ``compose = "mask"``: I_bar = I_d + (I_hat - I_d) I_m + I_r (eq. 1), nothing is clamped;
    - ``compose = "residual"``: I_bar = clamp(I_hat, 0, 1) + I_r, as in the authors' code.

    Args:
        config: what it is made of; the defaults are the paper's full setting.

    Differs from the paper: I_m = 1 + tanh(z) of the decoder's z, in (0, 2), is one plane for all colours. The paper
    does not say how the mask is made; this one is 1 where z = 0, so that a fresh module with ``parity = "fixed"``
    returns the restored image exactly. The authors' code has no mask.
    """

    def __init__(self, config: RefinementConfig) -> None:
        super().__init__()
        planes = config.restored_planes + (config.compose == "mask")
        attends = config.channel_attention or config.spatial_attention
        self.config = config
        self.projection = projection_of(config)
        self.encoder = Encoder(config.restored_planes + config.degraded_planes, config.width)
        self.enhancement = SpatialVaryingEnhancement(config) if config.fusion != "none" else None
        self.attention = ChannelSpatialAttention(config) if attends else None
        self.decoder = Decoder(config.width, planes, start_at_zero=config.parity == "fixed")

    def forward(
        self,
        restored: PlainImages,
        degraded: DegradedImages,
        prior: Prior | None = None,
        *,
        statistics: Statistics | None = None,
        window: Window | None = None,
    ) -> PlainImages:
        """Refine restored images, or one tile of an image.

        Args:
            restored: I_hat, (batch, restored_planes, height, width), nominally in [0, 1], not clamped; height and width
                are multiples of ``MULTIPLE_OF``.
            degraded: I_d, (batch, degraded_planes, height, width).
            prior: g of the whole degraded image: (batch, prior_dim), unit length; with ``prior_use = "concat_2d"`` a
                map (batch, prior_dim, rows, columns); ignored with "none".
            statistics: of the whole image, where ``restored`` is a tile; None: taken from the images themselves.
            window: where the tile lies in the whole image, in px; None: the images are whole.

        Returns:
            I_bar, same shape as ``restored``, not clamped.

        Raises:
            ImageError: planes or sizes are not as above.
            ModelError: the prior is missing or has another shape.
        """
        self._check(restored, degraded, prior)
        height, width = restored.shape[2:]
        place = feature_window(window or Window(0, 0, height, width, full_height=height, full_width=width))
        known, prepared = statistics or Statistics(), self.prepare(prior)
        features = self.encoder(restored, degraded, known)
        features = self.enhance(features, degraded, prepared, place, known)
        if self.attention is not None:
            features = self.attention(features, prepared, place, known.pooled)
        return self._decoded(features, restored, degraded)

    def prepare(self, prior: Prior | None) -> PreparedPrior | None:
        """The prior as the parts of the module take it: at unit variance unless official, projected if it is long."""
        return prepared(prior, self.config, self.projection, self.encoder.stem.weight.dtype)

    def enhance(
        self,
        features: Features,
        degraded: DegradedImages,
        prepared: PreparedPrior | None,
        place: Window,
        known: Statistics,
    ) -> Features:
        """f_hat of f: the spatial-varying enhancement, if there is one. ``prepared`` comes from ``prepare``."""
        if self.enhancement is None:
            return features
        snr = snr_map(self.view_of(degraded), known.snr_peak) if self.config.fusion == "snr" else None
        return self.enhancement(features, prepared, place, snr=snr, attention=known.attention)  # type: ignore[no-any-return]

    def view_of(self, degraded: DegradedImages) -> PlainImages:
        """The degraded image with as many planes as the restored one: of a dual-pixel pair the mean."""
        if self.config.degraded_planes == self.config.restored_planes:
            return degraded
        left, right = degraded.chunk(2, dim=1)
        return (left + right) / 2

    def _decoded(self, features: Features, restored: PlainImages, degraded: DegradedImages) -> PlainImages:
        if torch.is_grad_enabled():
            return self._composed(self.decoder(features), restored, degraded)
        refined = torch.empty_like(restored)
        for strip in strips(*features.shape[2:], halo=DECODER_HALO, device=features.device):
            answer = strip.inner(self.decoder(strip.outer(features)), SCALE)
            rows = strip.rows(SCALE)
            refined[:, :, rows] = self._composed(answer, restored[:, :, rows], degraded[:, :, rows])
        return refined

    def _composed(
        self, answer: Float[Tensor, "batch answers height width"], restored: PlainImages, degraded: DegradedImages
    ) -> PlainImages:
        """Eq. 1, or the authors' sum."""
        if self.config.compose == "residual":
            return restored.clamp(0, 1) + answer
        mask, residual = answer[:, :1], answer[:, 1:]
        # I_d + (I_hat - I_d) I_m, written so that I_m = 1 gives I_hat to the last bit.
        return torch.addcmul(restored, restored - self.view_of(degraded), torch.tanh(mask)) + residual

    def _check(self, restored: Tensor, degraded: Tensor, prior: Tensor | None) -> None:
        config = self.config
        size = tuple(restored.shape[2:])
        for name, images, planes in (
            ("restored", restored, config.restored_planes),
            ("degraded", degraded, config.degraded_planes),
        ):
            expected = (len(restored), planes, *size)
            if tuple(images.shape) != expected:
                raise ImageError(f"refine: expected {name} images of shape {expected}, got {tuple(images.shape)}")
        if any(side % MULTIPLE_OF or side == 0 for side in size):
            raise ImageError(
                f"refine: expected height and width that are multiples of {MULTIPLE_OF}, got {size[0]}x{size[1]}; "
                "restore through the tiler, which pads"
            )
        check_prior(prior, len(restored), config)


def projection_of(config: RefinementConfig) -> nn.Linear | None:
    """What shortens a long prior; None for one that is short enough, or not used."""
    if config.prior_use == "none" or config.projected_dim == config.prior_dim:
        return None
    return nn.Linear(config.prior_dim, config.projected_dim, bias=False)


def prepared(
    prior: Prior | None, config: RefinementConfig, projection: nn.Linear | None, dtype: torch.dtype
) -> PreparedPrior | None:
    """The prior as the parts of a module take it: at unit variance unless official, projected if it is long."""
    if prior is None or config.prior_use == "none":
        return None
    prior = prior.to(dtype)
    if config.parity == "fixed":
        prior = prior * math.sqrt(config.prior_dim)
    return prior if projection is None else projection(prior.movedim(1, -1)).movedim(-1, 1)


def check_prior(prior: Prior | None, batch: int, config: RefinementConfig) -> None:
    """That there is a prior of the right length, if one is used.

    Raises:
        ModelError: the prior is missing or has another shape.
    """
    if config.prior_use == "none":
        return
    axes = 4 if config.prior_use == "concat_2d" else 2
    got = None if prior is None else tuple(prior.shape)
    if got is None or len(got) != axes or got[:2] != (batch, config.prior_dim):
        wanted = f"({batch}, {config.prior_dim}{', rows, columns' if axes == 4 else ''})"
        raise ModelError(
            f"refine: expected a prior of shape {wanted}, got {got}; use the prior that the module was trained with"
        )
