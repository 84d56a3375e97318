"""Contrastive learning of the encoder: the momentum encoder, the queue, and the three losses as one object.

Fan et al. 2024, ConStyle (arXiv:2402.15784). One training step:

    style = encoder(degraded)
    losses = contrast.losses(style, degraded=degraded, clean=clean)     the momentum encoder follows, then reads
    (pixel_loss + sum(losses.values())).backward()                      ... optimiser's step ...
    contrast.after_step()                                               the codes enter the queue

- The release enters the codes before the backward pass, which forces it to copy the queue. The numbers are the same
  after it, so both parities do that.
- Several processes hold equal queues: codes are gathered in the order of the processes before they enter.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from restorekit.constyle.encoder import CODE_SIZE, Code, ConStyleEncoder, Parity, Style
from restorekit.constyle.losses import code_gram_loss, content_loss, info_nce, map_gram_loss
from restorekit.constyle.momentum import MomentumEncoder
from restorekit.constyle.queue import Queue
from restorekit.core.image.convention import Images

__all__ = ["OFFICIAL", "Contrast", "ContrastSettings"]

OFFICIAL = {
    "normalise": False,
    "enqueue": "query",
    "noise_negatives": True,
    "momentum_buffers": False,
    "style": "code_gram",
}
"""What ``parity = "official"`` changes among the defaults of ``ContrastSettings``."""


class ContrastSettings(BaseModel):
    """How the encoder learns by contrast; a weight of 0 switches a loss off, and what only it needs with it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    parity: Parity = Field(
        default="fixed",
        description="official: the defaults below as in the authors' release; fixed: without its defects",
    )
    info_nce_weight: float = Field(default=1.0, ge=0, description="of InfoNCE; 1 in the release")
    content_weight: float = Field(
        default=1.0, ge=0, description="of the distance between degraded and clean code; 1 in the release"
    )
    style_weight: float = Field(default=1.0, ge=0, description="of the style loss; 1 in the release")
    style: Literal["map_gram", "code_gram"] = Field(
        default="map_gram",
        description="map_gram: channel Grams of the three maps shall be those of the clean image, bounded; "
        "code_gram (official): sample Grams of codes shall differ from those in the queue, unbounded",
    )
    normalise: bool = Field(
        default=True, description="compare codes by direction alone; official: by raw products and differences"
    )
    temperature: float = Field(default=0.07, gt=0, description="of InfoNCE, without unit; 0.07 in the release")
    queue_size: int = Field(
        default=65_760, ge=1, description="negatives kept, 512 bytes each; 65760 in the release, which any batch fits"
    )
    enqueue: Literal["query", "key"] = Field(
        default="key",
        description="whose code of the degraded image becomes a negative; query (official): the encoder's; "
        "key: the momentum encoder's, at the price of one more forward pass",
    )
    noise_negatives: bool = Field(
        default=False, description="count the noise that the queue starts with as negatives; official: true"
    )
    momentum: float = Field(
        default=0.999, ge=0, le=1, description="of the momentum encoder, per step; 0.999 in the release"
    )
    momentum_buffers: bool = Field(
        default=True, description="running statistics follow too; official: weights alone; LayerNorm has none"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in_official(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("parity") == "official":
            return {**OFFICIAL, **given}
        return given

    @property
    def uses_queue(self) -> bool:
        """Whether a loss that is on reads the queue."""
        return self.info_nce_weight > 0 or (self.style_weight > 0 and self.style == "code_gram")

    @property
    def is_off(self) -> bool:
        """Whether all three losses are off."""
        return self.info_nce_weight == self.content_weight == self.style_weight == 0


class Contrast:
    """The momentum encoder and the queue of an encoder in training, and the losses that they give.

    Not an ``nn.Module``: none of it is trained, averaged or shipped. A task hands over ``state_dict`` as its own state.

    Args:
        encoder: what learns; its weights are copied here and now.
        settings: weights and forms of the losses.
        generator: of the noise that the queue starts with, on the CPU; None: torch's global one.
    """

    def __init__(
        self, encoder: ConStyleEncoder, settings: ContrastSettings, *, generator: torch.Generator | None = None
    ) -> None:
        self._encoder = encoder
        self._settings = settings
        self._momentum_encoder = MomentumEncoder(encoder, momentum=settings.momentum, buffers=settings.momentum_buffers)
        self._queue = Queue(settings.queue_size, unit=settings.normalise, generator=generator)
        self._entering: Code | None = None
        self._agreed = False

    def losses(self, style: Style, *, degraded: Images, clean: Images) -> dict[str, Tensor]:
        """The losses that are on, each times its weight, by name: "info_nce", "content", "style".

        The momentum encoder first follows the encoder by one step, so this is called once before each of its updates.
        A frozen encoder has no losses, and nothing is computed for it.

        Args:
            style: what the encoder made of ``degraded``, with gradient.
            degraded, clean: (batch, 3, height, width), pair by pair.

        Returns:
            Scalars in float32. The gradient of all reaches the encoder alone.
        """
        if self._encoder.frozen or self._settings.is_off:
            return {}
        self._agree()
        self._momentum_encoder.follow()
        clean_style = self._momentum_encoder.read(clean)
        if self._settings.uses_queue:
            enqueues_keys = self._settings.enqueue == "key"
            entering = self._momentum_encoder.read(degraded).code if enqueues_keys else style.code.detach()
            self._entering = self._comparable(entering)
        with torch.autocast(degraded.device.type, enabled=False):
            return self._weighted(style, clean_style)

    def after_step(self) -> None:
        """Let the codes of the last ``losses`` enter the queue; to be called after the backward pass."""
        if self._entering is not None:
            self._queue.enqueue(_gathered(self._entering))
            self._entering = None

    def place(self, device: torch.device) -> None:
        """Move all of it to where the encoder is."""
        self._momentum_encoder.to(device)
        self._queue.to(device)

    def state_dict(self) -> dict[str, Tensor]:
        """Momentum encoder and queue: with them a resumed run continues bit for bit."""
        parts = {"momentum_encoder": self._momentum_encoder.state_dict(), "queue": self._queue.state_dict()}
        return {f"{part}.{name}": tensor for part, state in parts.items() for name, tensor in state.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what ``state_dict`` gave.

        Raises:
            ModelError: the queue is of another length.
        """
        self._queue.load_state_dict(_part(state, "queue."))
        self._momentum_encoder.load_state_dict(_part(state, "momentum_encoder."))

    def _weighted(self, style: Style, clean: Style) -> dict[str, Tensor]:
        settings = self._settings
        query, key = self._comparable(style.code), self._comparable(clean.code)
        found: dict[str, Tensor] = {}
        if settings.info_nce_weight:
            negatives = self._queue.codes if settings.noise_negatives else self._queue.known()
            loss = info_nce(query, key, negatives, temperature=settings.temperature)
            found["info_nce"] = settings.info_nce_weight * loss
        if settings.content_weight:
            # The mean over values of unit vectors would shrink with their number: those are taken at an RMS of 1.
            scale = CODE_SIZE if settings.normalise else 1
            found["content"] = settings.content_weight * scale * content_loss(query, key)
        if settings.style_weight:
            found["style"] = settings.style_weight * self._style_loss(style, clean)
        return found

    def _style_loss(self, style: Style, clean: Style) -> Tensor:
        if self._settings.style == "map_gram":
            return map_gram_loss(style.maps, clean.maps)
        batch = len(style.code)
        early, late = self._comparable(style.early_code), self._comparable(style.code)
        # The release pairs the first head with slots beyond those that this batch will overwrite, the second with them.
        first = code_gram_loss(early, self._queue.oldest(batch, skip=batch))
        return first + code_gram_loss(late, self._queue.oldest(batch))

    def _comparable(self, code: Code) -> Code:
        """In float32, and of unit length where directions are compared."""
        return F.normalize(code.float()) if self._settings.normalise else code.float()

    @torch.no_grad()
    def _agree(self) -> None:
        """Once, give every process the state of the first."""
        if _processes() > 1 and not self._agreed:
            for tensor in self._momentum_encoder.state_dict().values():
                dist.broadcast(tensor, src=0)
            dist.broadcast(self._queue.codes, src=0)
        self._agreed = True


def _gathered(codes: Code) -> Code:
    """The codes of all processes, in their order; every process holds as many."""
    if _processes() == 1:
        return codes
    parts = [torch.empty_like(codes) for _ in range(_processes())]
    dist.all_gather(parts, codes.contiguous())
    return torch.cat(parts)


def _processes() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
