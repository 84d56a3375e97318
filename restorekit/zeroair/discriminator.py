"""The discriminator, and the critic around it that learns: one judges what φ makes, the other what φ removes."""

import itertools

import torch
from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.zeroair.config import GanForm
from restorekit.zeroair.degradation_model import Companions, OneImage, initialise
from restorekit.zeroair.losses import ADVERSARIAL

__all__ = ["Critic", "PatchDiscriminator"]


class PatchDiscriminator(nn.Module):
    """Three 3x3 convolutions of stride 2 to 64, 128, 256 channels with leaky ReLU, then 1x1; 371 073 parameters.

    A score sees 15 px. Differs from the authors' code: its sigmoid is in the loss ("bce"), where other forms lack it.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 64, 128, 256)
        layers: list[nn.Module] = []
        for inside, outside in itertools.pairwise(widths):
            layers += [nn.Conv2d(inside, outside, 3, stride=2, padding=1), nn.LeakyReLU(0.01)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 1))

    def forward(self, images: Images) -> Tensor:
        """(batch, 1, height / 8, width / 8) raw scores, sides rounded up; high means real."""
        scores: Tensor = self.layers(images)
        return scores


class Critic:
    """A discriminator and its optimiser.

    Args:
        form: of the adversarial loss.
        learning_rate: of Adam.
        like: an image, for its device and dtype.
    """

    def __init__(self, *, form: GanForm, learning_rate: float, like: OneImage) -> None:
        with torch.device("meta"):
            network = PatchDiscriminator()
        self.network = network.to(like.dtype).to_empty(device=like.device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), learning_rate)
        self._form = ADVERSARIAL[form]

    def restart(self, generator: torch.Generator) -> None:
        """Fresh weights; the optimiser keeps its moments, so a truly new critic is a new object."""
        initialise(self.network, generator=generator)

    def learn(self, fake: Images, real: Companions) -> Tensor:
        """One step of telling ``real`` (score up) from ``fake`` (score down); returns the loss before it, detached."""
        scores = self.network(torch.cat([fake, real]).detach())
        loss = self._form.fake(scores[: len(fake)]) + self._form.real(scores[len(fake) :])
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.optimiser.step()
        return loss.detach()

    def penalty(self, fake: Images) -> Tensor:
        """What ``fake`` costs its maker, with the discriminator as it is now."""
        return self._form.generator(self.network(fake))
