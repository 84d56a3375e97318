"""ConStyle in the order of work of its authors' release, written plainly: what suite ``constyle`` is measured against.

    python benchmarks/plain_constyle.py ours|plain    (one contrastive step, for its peak memory)

Both sides share encoder, weights and losses; what differs is how they get there. The release keeps its queue as
(code, entries), copies it whole for the logits and again for the style loss, enters codes before the backward pass,
lets the momentum encoder follow one tensor at a time, and concatenates features with their scaled copy at the bottom.
"""

import copy
import sys
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.comparison.cost import peak_memory
from restorekit.constyle.contrastive import Contrast, ContrastSettings
from restorekit.constyle.encoder import CODE_SIZE, ConStyleEncoder, Style

__all__ = ["BATCH", "PlainContrast", "PlainFusion", "make_contrast", "make_pair", "plain_fusions"]

BATCH = 16
SIDE_PX = 128
TEMPERATURE, MOMENTUM = 0.07, 0.999


class PlainContrast:
    """The three losses of the release with its own order of work.

    Args:
        encoder: what learns.
        queue: (entries, code); copied.
    """

    def __init__(self, encoder: ConStyleEncoder, queue: Tensor) -> None:
        self.encoder = encoder
        self.key_encoder = copy.deepcopy(encoder).requires_grad_(False).train()
        self.queue = queue.T.clone()
        self.at = 0

    def losses(self, style: Style, *, degraded: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """As ``Contrast.losses`` under parity official, the entering of codes included."""
        with torch.no_grad():
            for own, followed in zip(self.key_encoder.parameters(), self.encoder.parameters(), strict=True):
                own.data = own.data * MOMENTUM + followed.data * (1.0 - MOMENTUM)
            key = self.key_encoder(clean).code
        query, batch = style.code, len(degraded)
        match = torch.einsum("nc,nc->n", query, key)[:, None]
        others = torch.einsum("nc,ck->nk", query, self.queue.clone().detach())
        logits = torch.cat([match, others], dim=1) / TEMPERATURE
        found = {"info_nce": F.cross_entropy(logits, torch.zeros(batch, dtype=torch.long))}
        found["content"] = F.mse_loss(query, key)
        past = self.queue.clone().detach().T
        late, early = (past[(self.at + skip) : (self.at + skip + batch)] for skip in (0, batch))
        found["style"] = -F.mse_loss(_gram(style.early_code), _gram(early)) - F.mse_loss(_gram(query), _gram(late))
        with torch.no_grad():
            self.queue[:, self.at : self.at + batch] = query.T
            self.at = (self.at + batch) % self.queue.shape[1]
        return found

    def after_step(self) -> None:
        """Nothing is left to do."""


class PlainFusion(nn.Module):
    """The bottom of the U-Net as released: features beside themselves times the code, then a 1x1 convolution.

    Args:
        fusion: the ``CodeFusion`` whose weights it shares.
    """

    def __init__(self, fusion: Any) -> None:
        super().__init__()
        self.scale, self.fuse = fusion.scale, fusion.fuse

    def forward(self, features: Tensor, code: Tensor) -> Tensor:
        """As ``CodeFusion.forward``."""
        scaled = features * self.scale(code)[:, :, None, None]
        fused: Tensor = self.fuse(torch.cat([features, scaled], dim=1))
        return fused


def plain_fusions(network: Any) -> Any:
    """A copy of a ``ConStyleNetwork`` with the released bottom; its up-convolutions are the released ones anyway."""
    plain = copy.deepcopy(network)
    plain.unet.fusion = PlainFusion(plain.unet.fusion)
    return plain


def make_contrast(which: str, entries: int) -> tuple[ConStyleEncoder, Any]:
    """An encoder of the published size and its losses, ours or plain, always with the same numbers in the queue."""
    torch.manual_seed(0)
    encoder = ConStyleEncoder("official")
    ours = Contrast(encoder, ContrastSettings(parity="official", queue_size=entries))
    queue = torch.randn(entries, CODE_SIZE, generator=torch.Generator().manual_seed(1))
    if which == "plain":
        return encoder, PlainContrast(encoder, queue)
    state = ours.state_dict()
    name = next(key for key, value in state.items() if tuple(value.shape) == (entries, CODE_SIZE))
    ours.load_state_dict({**state, name: queue})
    return encoder, ours


def make_pair(batch: int, side_px: int) -> tuple[Tensor, Tensor]:
    """Degraded and clean crops."""
    clean = torch.rand(batch, 3, side_px, side_px, generator=torch.Generator().manual_seed(2))
    return (clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(3))), clean


def contrastive_step(encoder: ConStyleEncoder, contrast: Any, degraded: Tensor, clean: Tensor) -> dict[str, Tensor]:
    """Losses and their backward pass."""
    style = encoder(degraded)
    losses: dict[str, Tensor] = contrast.losses(style, degraded=degraded, clean=clean)
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    contrast.after_step()
    encoder.zero_grad(set_to_none=True)
    return losses


def _gram(codes: Tensor) -> Tensor:
    return codes @ codes.T / codes.numel()


def main(which: str, entries: int = 65_760) -> None:
    """One step in this process; prints by how many bytes it grew at most."""
    encoder, contrast = make_contrast(which, entries)
    pair = make_pair(BATCH, SIDE_PX)
    contrastive_step(encoder, contrast, *make_pair(BATCH, 32))  # what libraries set up once is no memory of the step
    with peak_memory(None) as peak:
        contrastive_step(encoder, contrast, *pair)
    print(peak())


if __name__ == "__main__":
    main(sys.argv[1])
