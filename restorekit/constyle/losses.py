"""What the encoder learns from: who matches whom (InfoNCE), how near (content), and how features go together (style).

Fan et al. 2024, ConStyle (arXiv:2402.15784). The equations are those of the authors' release; the paper's text was not
at hand. No gradient reaches a key or the queue: the caller passes them without.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from restorekit.constyle.encoder import Code, Maps
from restorekit.constyle.queue import Codes
from restorekit.core.networks.base import FeatureMaps

__all__ = ["code_gram_loss", "content_loss", "info_nce", "map_gram_loss"]


def info_nce(query: Code, key: Code, negatives: Codes, *, temperature: float) -> Float[Tensor, ""]:
    """Contrastive loss: small when each query matches its own key and no negative.

    He et al. 2020 (arXiv:1911.05722), eq. 1:  L = −log( exp(q·k₊/τ) / (exp(q·k₊/τ) + Σᵢ exp(q·kᵢ/τ)) )

    Args:
        query: with gradient; of unit length in the paper, of any length in ConStyle's release.
        key: row by row the match of ``query``.
        negatives: the same for every query; with none of them the loss is 0.
        temperature: τ > 0, without unit.

    Returns:
        Mean over the batch, in nats.

    Differs from the paper: no.
    """
    match = (query * key).sum(dim=1) / temperature
    others = torch.logsumexp((query / temperature) @ negatives.T, dim=1)
    return (torch.logaddexp(match, others) - match).mean()


def content_loss(query: Code, key: Code) -> Float[Tensor, ""]:
    """Mean squared difference of degraded and clean codes. Differs from the authors' code: no."""
    return F.mse_loss(query, key)


def code_gram_loss(codes: Code, negatives: Code) -> Float[Tensor, ""]:
    """The release's style loss of one head: the Gram of the batch's codes shall differ from that of past codes.

    L = −mean( (G(u) − G(v))² ),  G(u) = u uᵀ / (B · 128), which is B x B: samples by samples, not channels by channels.
    It has no lower bound, and is below 1e-5 once the queue holds codes.

    Differs from the authors' code: no.
    """
    return -F.mse_loss(_code_gram(codes), _code_gram(negatives))


def map_gram_loss(maps: Maps, clean_maps: Maps) -> Float[Tensor, ""]:
    """How differently channels go together in the maps of the degraded and of the clean image, in [0, 1].

    L = mean over maps and images of 1 − cos( G(f), G(f_clean) ),  G(f) = f fᵀ, channels by channels: the Gram matrix of
    Gatys et al. 2016 (CVPR, eq. 3). Its scale does not count, so shrinking the features does not help.

    Differs from the authors' code: theirs is ``code_gram_loss``.
    """
    cosines = [
        F.cosine_similarity(_map_gram(found).flatten(1), _map_gram(clean).flatten(1))
        for found, clean in zip(maps, clean_maps, strict=True)
    ]
    return 1 - torch.stack(cosines).mean()


def _code_gram(codes: Code) -> Float[Tensor, "batch batch"]:
    return codes @ codes.T / codes.numel()


def _map_gram(features: FeatureMaps) -> Float[Tensor, "batch channels channels"]:
    flat = features.float().flatten(2)
    return flat @ flat.mT / flat.shape[2]
