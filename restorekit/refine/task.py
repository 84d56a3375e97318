"""Training of a refinement on the core's loop: the module on a frozen base, both together, or a student.

Xu et al. 2024 (arXiv:2403.06793), eq. 8: L = L_g(refined, clean) + lambda_1 L_g(restored, clean).

- The prior never enters the graph. With ``prior_pool`` it is asked once for each crop, before training begins.
- A frozen base is asked without gradients and stays as it is, bit for bit. In joint training it learns from its own
  loss and, through the module, from the other.
- A gray module sees one plane of crops whose three are equal (``training.gray``); the prior sees all three.
- Of a dual-pixel pair base and module see both views, six planes; prior, student and loss see their mean.
- EnlightenGAN's discriminators are neither trained by the loop nor shipped: the task updates them, and a checkpoint
  keeps them. They learn what is bright from the clean crops of a batch, and never see one beside its own dark crop.

Differs from the authors' code: their loss is a sum over pixels and adds a perceptual term (VGG19 without the
normalisation it was trained with), which are settings here, and their prior is computed with gradients that nothing
uses.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.core.networks.base import PlainImages
from restorekit.core.prior import FeaturePrior
from restorekit.core.restorer import Restorer, StepResult
from restorekit.errors import UsageError
from restorekit.refine.controls import controlled
from restorekit.refine.features import FeatureRefinement, features_refined
from restorekit.refine.module import MULTIPLE_OF
from restorekit.refine.network import RefinedNetwork
from restorekit.refine.pair_batches import PairBatches
from restorekit.refine.perceptual import PerceptualLoss
from restorekit.refine.prior_pool import open_prior_pool
from restorekit.refine.restored_crops import restored_by_network, restored_by_restorer
from restorekit.refine.restorer import prior_of
from restorekit.refine.settings import RefineConfig
from restorekit.refine.shapes import DegradedImages, Prior
from restorekit.refine.student import distillation_loss
from restorekit.refine.watch import PriorWatch, range_map_of
from restorekit.training.batches import Batch, Batches, CropBatches
from restorekit.training.enlightengan import EnlightenGANLoss, FeatureExtractor
from restorekit.training.pixel_loss import LossName, PixelLoss
from restorekit.training.unsupervised import Stage, UnsupervisedLoss, stages_of

__all__ = ["RefineTask"]


class RefineTask:
    """A ``TrainingTask``, ``PlacedTask``, ``RestoringTask``, ``SizedTask`` and ``StatefulTask``.

    Args:
        network: what is trained, averaged and shipped; its ``learning`` says which parts learn.
        config: losses, control and pool.
        base: restores first, frozen; asked where the network has no base of its own.
        prior: guides the module and teaches the student; None where none is asked for.
        multiple_of: what the base asks of crop sizes, in px.
        features: for ``config.loss = "enlightengan"``, which needs them.
        perceptual: for ``config.perceptual_weight``, which needs it.

    Raises:
        UsageError: that loss without features, or that weight without its loss.
    """

    def __init__(
        self,
        network: RefinedNetwork,
        config: RefineConfig,
        *,
        base: Restorer,
        prior: FeaturePrior | None = None,
        multiple_of: int = 1,
        features: FeatureExtractor | None = None,
        perceptual: PerceptualLoss | None = None,
    ) -> None:
        if config.perceptual_weight and perceptual is None:
            raise UsageError("perceptual_weight: expected a PerceptualLoss, got none; give one as perceptual=...")
        self.network = network
        self.multiple_of = math.lcm(MULTIPLE_OF, multiple_of)
        self._config = config
        self._base = base
        self._prior = prior
        self._loss = _loss_of(config, features)
        self._perceptual = perceptual if config.perceptual_weight else None
        self._watch = PriorWatch()

    def modules(self) -> Mapping[str, nn.Module]:
        """The module, and with it the base, the student and the prior that its weight file brings."""
        return {"network": self.network}

    def step(self, batch: Mapping[str, Tensor], *, generator: torch.Generator) -> StepResult:
        """The losses of all that learns; each is logged, and where the module looks."""
        prior = self._prior_of(batch)
        losses, logs = {}, self._watch.report()
        if "module" in self.network.learning:
            given = None if prior is None else controlled(prior, self._config.control, generator=generator)
            with range_map_of(self.network.module) as seen:
                losses = self._pixel_losses(batch, given, generator)
            logs |= seen
        if self.network.student is not None and prior is not None:
            losses["student"] = distillation_loss(self.network.student(_seen(batch["degraded"])), prior)
        logs |= {f"loss_{name}": float(loss.detach()) for name, loss in losses.items()}
        return StepResult(torch.stack(list(losses.values())).sum(), logs)

    def after_step(self) -> None:
        """EnlightenGAN's discriminators learn from what they saw."""
        if isinstance(self._loss, EnlightenGANLoss):
            self._loss.learn()

    def state_dict(self) -> Mapping[str, Tensor]:
        """EnlightenGAN's discriminators and their moments; nothing for other losses."""
        return self._loss.state_dict() if isinstance(self._loss, EnlightenGANLoss) else {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what ``state_dict`` gave."""
        if isinstance(self._loss, EnlightenGANLoss):
            self._loss.load_state_dict(state)

    def restore(self, degraded: Images) -> Images:
        """What ships makes of it: base, then module, guided by the student if there is one; what the prior changes is
        watched."""
        restored = self._restored({"degraded": degraded})
        if self.network.student is not None:
            prior: Prior | None = self.network.student(degraded)
        else:
            prior = self._prior_of({"degraded": degraded})
        refined = self._refined(restored, degraded, prior)
        if prior is not None and self._config.control == "true":
            without = self._refined(restored, degraded, torch.zeros_like(prior))
            self._watch.observe(restored=restored, refined=refined, without=without)
        return refined

    def place(self, device: torch.device) -> None:
        """Base, prior and discriminators go where the network is."""
        if self.network.base is None:
            self._base = self._base.to(device)
        if self._prior is not None:
            self._prior = self._prior.to(device)
        if isinstance(self._loss, EnlightenGANLoss):
            self._loss.to(device)
        if self._perceptual is not None:
            self._perceptual.to(device)

    def prepare_batches(
        self,
        fresh: CropBatches,
        *,
        folder: Path,
        device: torch.device,
        on_note: Callable[[str], None] = lambda _: None,
    ) -> Batches:
        """The batches to train on: of pairs, their crops; with ``prior_pool``, crops that are kept with what prior and
        frozen base say.

        Args:
            fresh: where crops come from.
            folder: the cache; the pool becomes a folder in it.
            device: where the prior and the base compute.
            on_note: told what is done, and how far it is.

        Raises:
            RestorekitError: the cache cannot be written.
            UsageError: pairs are wanted, and the photos are none.
        """
        pairs = ["dual pixel"] * self._config.dual_pixel
        crops = PairBatches(fresh) if pairs else fresh
        if not self._config.prior_pool:
            return crops
        self.network.to(device)
        self.place(device)
        names = [self._base.name, self.network.module.config.prior_use, *pairs]
        return open_prior_pool(
            crops,
            crops=self._config.prior_pool,
            folder=folder,
            extras=self._extras,
            names=names if self._prior is None else [*names, self._prior.name],
            device=device,
            on_note=on_note,
        )

    @torch.no_grad()
    def _extras(self, batch: Batch) -> dict[str, Tensor]:
        """What a pool keeps beside its crops."""
        prior = self._prior_of(batch)
        kept = {} if prior is None or self._prior is None else {"prior": prior}
        return kept | ({"restored": self._restored(batch)} if self._needs_no_base else {})

    def _pixel_losses(
        self, batch: Mapping[str, Tensor], prior: Prior | None, generator: torch.Generator
    ) -> dict[str, Tensor]:
        degraded, base, joint = batch["degraded"], self.network.base, "base" in self.network.learning
        seen = _seen(degraded)
        if joint and base is not None and isinstance(self._loss, UnsupervisedLoss):
            stages = stages_of(base, degraded)
        else:
            asked = joint or self._config.features is None
            stages = [Stage(seen, self._restored(batch) if asked else seen)]
        refined = self._refined(stages[0].restored, degraded, prior).float()
        losses = {"refined": self._judged([Stage(seen, refined)], batch, generator)}
        if joint and self._config.base_loss_weight:
            losses["base"] = self._config.base_loss_weight * self._judged(stages, batch, generator)
        return losses

    def _judged(self, stages: list[Stage], batch: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """The same loss for restored and refined crops; one without clean crops looks at every stage."""
        if isinstance(self._loss, UnsupervisedLoss):
            return self._loss(stages)
        if isinstance(self._loss, EnlightenGANLoss):
            others = batch["clean"].roll(1, dims=0)
            return self._loss(stages[0].restored, batch["degraded"], others, generator=generator)
        loss = self._loss(stages[0].restored, stages[0].degraded, batch["clean"])
        if self._perceptual is not None:
            loss = loss + self._config.perceptual_weight * self._perceptual(stages[0].restored, batch["clean"])
        return loss

    def _own(self, images: DegradedImages) -> PlainImages:
        """The planes that base and module work on: all there are, or one of three equal ones."""
        return images[:, : self._config.module.degraded_planes]

    @property
    def _needs_no_base(self) -> bool:
        """Whether the module learns from what a frozen base once made of a crop."""
        return {"base", "module"} & self.network.learning == {"module"} and self._config.features is None

    def _refined(self, restored: Images, degraded: DegradedImages, prior: Prior | None) -> Images:
        """The result, refined; or the base's result once more, made of refined features."""
        module, base = self.network.module, self.network.base
        if not isinstance(module, FeatureRefinement):
            refined: Images = module(self._own(restored), self._own(degraded), prior).expand(-1, 3, -1, -1)
            return refined
        assert base is not None
        assert self._config.features is not None
        with features_refined(base, self._config.features, module, prior):
            refined = base(self._own(degraded)).expand_as(degraded)
        return refined

    def _restored(self, batch: Mapping[str, Tensor]) -> Images:
        """What the base makes of the crops, in float32; with gradients where it learns."""
        if "restored" in batch and self._needs_no_base:  # a pool of a run with a frozen base may serve a joint one
            return batch["restored"]
        if self.network.base is None:
            return restored_by_restorer(self._base, batch["degraded"], batch.get("view")).float()
        with torch.set_grad_enabled(torch.is_grad_enabled() and "base" in self.network.learning):
            crops, routes = self._own(batch["degraded"]), self._config.routes
            restored = restored_by_network(self.network.base, crops, batch, routes)
        return restored.float().expand(-1, 3, -1, -1)

    def _prior_of(self, batch: Mapping[str, Tensor]) -> Prior | None:
        """What the prior says, without gradients; zeros where a control asks for no more than its shape."""
        if "prior" in batch:
            return batch["prior"]
        degraded, module = batch["degraded"], self.network.module.config
        if module.prior_use == "none":
            return None
        if self._prior is None:
            places = (1, 1) if module.prior_use == "concat_2d" else ()
            return degraded.new_zeros(len(degraded), module.prior_dim, *places)
        with torch.no_grad(), torch.autocast(degraded.device.type, enabled=False):
            return prior_of(self._prior, _seen(degraded).float(), module)


def _loss_of(
    config: RefineConfig, features: FeatureExtractor | None
) -> UnsupervisedLoss | EnlightenGANLoss | PixelLoss:
    if config.loss == "enlightengan":
        if features is None:
            raise UsageError("loss enlightengan: expected a feature extractor, got none; give one as features=...")
        return EnlightenGANLoss(features)
    if config.unsupervised:
        return UnsupervisedLoss(config.loss)
    return PixelLoss(cast(LossName, config.loss), eps=config.eps, balance=config.balance, reduction=config.reduction)


def _seen(degraded: DegradedImages) -> Images:
    """A photo, or the mean of the two views of a dual-pixel pair."""
    return degraded if degraded.shape[1] == 3 else (degraded[:, :3] + degraded[:, 3:]) / 2
