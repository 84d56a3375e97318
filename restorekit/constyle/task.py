"""Training of ConStyle on the core's loop: pixels, contrast, and an encoder that may be frozen on the way.

Fan et al. 2024, ConStyle (arXiv:2402.15784): the loss is that of the pixels plus InfoNCE, content and style loss. In
two stages (the authors' second version) the encoder comes from an earlier run and ``freeze_after`` is 0. Ours: the code
may also have to describe the degradation.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from restorekit.constyle.contrastive import Contrast
from restorekit.constyle.description import description_loss
from restorekit.constyle.encoder import Style
from restorekit.constyle.network import ConStyleNetwork
from restorekit.constyle.settings import ConStyleConfig
from restorekit.constyle.watch import CodeWatch, gradient_norms
from restorekit.core.image.convention import Images
from restorekit.core.restorer import StepResult
from restorekit.training.pixel_loss import PixelLoss

__all__ = ["ConStyleTask"]

STEPS = "steps_done"


class ConStyleTask:
    """A ``TrainingTask``, ``StatefulTask``, ``PlacedTask`` and ``RestoringTask``.

    Args:
        network: what is trained, averaged and shipped.
        config: losses and the freeze.
    """

    def __init__(self, network: ConStyleNetwork, config: ConStyleConfig) -> None:
        self.network = network
        self.multiple_of = network.config.multiple_of
        self._config = config
        self._pixels = PixelLoss(config.loss, eps=config.eps, balance=config.balance)
        self._contrast = Contrast(network.encoder, config.contrast) if network.encoder is not None else None
        self._watch = CodeWatch()
        self._steps = 0
        self._freeze_when_due()

    def modules(self) -> Mapping[str, nn.Module]:
        """Encoder and U-Net; the momentum encoder and the queue are state of the task."""
        return {"network": self.network}

    def step(self, batch: Mapping[str, Tensor], *, generator: torch.Generator) -> StepResult:  # noqa: ARG002
        """The pixels' loss, plus those of the encoder while it learns; each is logged. Tone curves see the view."""
        degraded, clean = batch["degraded"], batch["clean"]
        style = self.network.encoder(degraded) if self.network.encoder is not None else None
        restored = self.network.restore(degraded, style, photos=batch.get("view"))
        losses = {"pixels": self._pixels(restored.float(), degraded, clean)}
        if self._contrast is not None and style is not None:
            losses |= self._contrast.losses(style, degraded=degraded, clean=clean)
            losses |= self._description(style, degraded, clean)
        logs = {f"loss_{name}": float(loss.detach()) for name, loss in losses.items()} | self._watch.report()
        every = self._config.gradients_every
        if every and self._steps % every == 0 and self.network.encoder is not None and not self.network.encoder.frozen:
            norms = gradient_norms(losses, self.network.encoder)
            logs |= {f"gradient_{name}": norm for name, norm in norms.items()}
        return StepResult(torch.stack(list(losses.values())).sum(), logs)

    def after_step(self) -> None:
        """Codes enter the queue; the encoder is frozen when its time has come."""
        if self._contrast is not None:
            self._contrast.after_step()
        self._steps += 1
        self._freeze_when_due()

    def restore(self, degraded: Images) -> Images:
        """What the network makes of it; the codes are watched."""
        style = self.network.encoder(degraded) if self.network.encoder is not None else None
        if style is not None:
            self._watch.observe(style.code)
        restored: Tensor = self.network.restore(degraded, style)
        return restored

    def place(self, device: torch.device) -> None:
        """Momentum encoder and queue go where the network is."""
        if self._contrast is not None:
            self._contrast.place(device)

    def state_dict(self) -> Mapping[str, Tensor]:
        """Momentum encoder, queue, and how many steps were done."""
        state = self._contrast.state_dict() if self._contrast is not None else {}
        return {**state, STEPS: torch.tensor(self._steps)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what ``state_dict`` gave; a frozen encoder is frozen again."""
        self._steps = int(state[STEPS])
        if self._contrast is not None:
            self._contrast.load_state_dict({name: tensor for name, tensor in state.items() if name != STEPS})
        self._freeze_when_due()

    def _description(self, style: Style, degraded: Images, clean: Images) -> dict[str, Tensor]:
        weight = self._config.description_weight
        if not weight or self.network.encoder is None or self.network.encoder.frozen:
            return {}
        return {"description": weight * description_loss(style.code, degraded, clean)}

    def _freeze_when_due(self) -> None:
        due = self._config.freeze_after is not None and self._steps >= self._config.freeze_after
        if due and self.network.encoder is not None and not self.network.encoder.frozen:
            self.network.encoder.freeze()
