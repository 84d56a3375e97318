"""How φ learns the degradation while the sample forms: two networks, two optimisers, no clean photo.

φ turns the clean images at hand (the guided estimate and its companions) into images that a discriminator cannot tell
from the degraded one, while it keeps their content. Nothing pairs a clean image with the degraded one.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from restorekit.zeroair.config import FitSettings
from restorekit.zeroair.degradation_model import Companions, OneImage, build_degradation_model, initialise
from restorekit.zeroair.discriminator import Critic
from restorekit.zeroair.losses import FeatureDistance

__all__ = ["DegradationFit"]


class DegradationFit:
    """φ, its discriminator and their optimisers.

    Gou et al. 2024 (arXiv:2312.02197), the test-time degradation adaptation:
    λ₁‖φ(x) − x‖² + λ₂‖V(φ(x)) − V(x)‖² + λ₃ A(φ(x)), V deep features, A the adversarial loss.

    Differs from the paper: its generator minimises log(1 − D), the authors' code and this −log D; its squared norms are
    means here, as in the code.

    Args:
        settings: see ``FitSettings``.
        features: V, needed if ``settings.features`` is not zero.
        like: the degraded image, for its size and device.
        noise: standard deviation of white noise in the degraded image, in [0, 1], that is known to be no part of φ: its
            discriminator sees what φ made beneath as much noise (Bora et al. 2018, AmbientGAN). Without it a φ that
            cannot make noise amplifies the finest details instead, without bound.
    """

    def __init__(
        self, settings: FitSettings, features: FeatureDistance | None, *, like: OneImage, noise: float = 0.0
    ) -> None:
        self._settings = settings
        self._noise = noise
        self._features = features
        self.model = build_degradation_model(settings.model, like=like)
        self.critic = Critic(form=settings.gan, learning_rate=settings.discriminator_learning_rate, like=like)
        self.optimiser = torch.optim.Adam(self.model.parameters(), settings.learning_rate)

    def restart(self, generator: torch.Generator) -> None:
        """Fresh weights, φ's first; the optimisers keep their moments, so a truly new fit is a new object."""
        initialise(self.model, generator=generator)
        self.critic.restart(generator)
        self._generator = generator

    def learn(self, clean: Companions, degraded: OneImage) -> Mapping[str, Tensor]:
        """``inner_steps`` updates, each of the discriminator first and then of φ.

        Args:
            clean: (count, 3, height, width), the guided estimate first; no gradient flows back into it.
            degraded: (1, 3, height, width).

        Returns:
            The losses of the last update by name, each times its weight.
        """
        clean = clean.detach()
        for _ in range(self._settings.inner_steps):
            losses = self._losses(clean, degraded)
            self.optimiser.zero_grad()
            torch.autograd.backward(torch.stack(list(losses.values())).sum(), inputs=list(self.model.parameters()))
            self.optimiser.step()
        return {f"fit_{name}": loss.detach() for name, loss in losses.items()}

    def _losses(self, clean: Companions, degraded: OneImage) -> dict[str, Tensor]:
        """The terms with a weight; the discriminator learns in passing, before it judges."""
        settings = self._settings
        made = self.model(clean)
        if settings.objective == "paired":
            return {"paired": F.mse_loss(made[:1], degraded)}
        losses = {"content": settings.content * F.mse_loss(made, clean)}
        if settings.features > 0 and self._features is not None:
            losses["features"] = settings.features * self._features(made, clean)
        if settings.adversarial > 0:
            seen = made + self._draw_noise(made) if self._noise > 0 else made
            self.critic.learn(seen, degraded)
            losses["adversarial"] = settings.adversarial * self.critic.penalty(seen)
        return losses

    def _draw_noise(self, like: Companions) -> Companions:
        generator = self._generator
        white = torch.randn(like.shape, generator=generator, device=generator.device, dtype=like.dtype)
        return self._noise * white.to(like.device)
