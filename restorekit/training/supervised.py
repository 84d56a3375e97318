"""Plain supervised training of one network, degraded in and clean out: how the base networks are made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.core.restorer import Restorer, StepResult, TrainingTask
from restorekit.core.weights import load_weights
from restorekit.errors import ModelError

__all__ = ["LOSSES", "METHOD", "SupervisedConfig", "SupervisedMethod", "SupervisedTask", "restoration_loss"]

LossName = Literal["charbonnier", "l1", "psnr"]


class SupervisedConfig(BaseModel):
    """Which network, and what it is trained to make small."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: str = Field(description="name of a network of restorekit.core.networks, such as nafnet")
    network_options: dict[str, Any] = Field(default_factory=dict, description="options of that network")
    weights: str | None = Field(
        default=None, description="a weights.safetensors of an earlier run; None: fresh weights"
    )
    loss: LossName = Field(default="charbonnier", description="charbonnier, l1 or psnr")
    eps: float = Field(
        default=1e-3, gt=0, le=1, description="differences well below it count little; in units of the range [0, 1]"
    )
    balance: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="a crop counts in inverse proportion to this plus its own RMSE before restoration, so that low "
        "light and haze do not drown noise; None: all count alike",
    )
    routes: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        default=None,
        description="for networks of several experts: the number of the expert for each alternative of the "
        "degradation, in their order; clean crops go to expert 0",
    )

    @model_validator(mode="after")
    def _network_can_be_built(self) -> "SupervisedConfig":
        from restorekit.core.networks.catalogue import configure

        try:
            planes = configure(self.network, self.network_options).planes
        except ModelError as error:
            raise ValueError(str(error)) from None
        if planes != (3, 3):
            raise ValueError(f"network: expected one from 3 planes to 3 (RGB photos), got {planes[0]} to {planes[1]}")
        return self


class SupervisedTask:
    """A ``TrainingTask`` and ``RestoringTask`` for one network from images to images.

    Args:
        network: (batch, 3, height, width) to the same shape; sRGB in [0, 1].
        loss: a key of ``LOSSES``.
        eps: see ``restoration_loss``.
        balance: see ``SupervisedConfig``.
        multiple_of: sizes of images must be multiples of it, in px.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        loss: LossName = "charbonnier",
        eps: float = 1e-3,
        balance: float | None = None,
        multiple_of: int = 1,
    ) -> None:
        self.network = network
        self.multiple_of = multiple_of
        self.loss = loss
        self.eps = eps
        self.balance = balance

    def modules(self) -> Mapping[str, nn.Module]:
        """The one network."""
        return {"network": self.network}

    def step(self, batch: Mapping[str, Tensor], *, generator: torch.Generator) -> StepResult:  # noqa: ARG002
        """Restore the degraded crops; the loss is computed in float32 whatever the network's precision."""
        return StepResult(self.loss_of(self.network(batch["degraded"]).float(), batch))

    def loss_of(self, restored: Images, batch: Mapping[str, Tensor]) -> Float[Tensor, ""]:
        """Mean over the crops, weighted by ``balance``."""
        losses = restoration_loss(restored, batch["clean"], name=self.loss, eps=self.eps)
        if self.balance is None:
            return losses.mean()
        weights = 1.0 / (self.balance + _rmse(batch["degraded"] - batch["clean"]))
        return (losses * weights).sum() / weights.sum()

    def after_step(self) -> None:
        """Nothing."""

    def restore(self, degraded: Images) -> Images:
        """What the network makes of it."""
        restored: Tensor = self.network(degraded)
        return restored


def restoration_loss(restored: Images, clean: Images, *, name: str, eps: float) -> Float[Tensor, "batch"]:
    """How far ``restored`` is from ``clean``; see ``LOSSES`` for the names.

    Args:
        restored, clean: (batch, 3, height, width), float32, nominally in [0, 1].
        eps: of ``charbonnier`` and ``psnr``, in units of the range.

    Returns:
        One value per image; without unit for l1 and charbonnier, in dB for psnr (where it is negative).
    """
    return LOSSES[name](restored - clean, eps)


def _charbonnier(difference: Tensor, eps: float) -> Tensor:
    """Charbonnier et al. 1994: mean of sqrt(d^2 + eps^2). Differs from the paper: no."""
    return (difference.square() + eps**2).sqrt().mean(dim=(1, 2, 3))


def _l1(difference: Tensor, eps: float) -> Tensor:  # noqa: ARG001
    return difference.abs().mean(dim=(1, 2, 3))


def _rmse(difference: Tensor) -> Tensor:
    return difference.square().mean(dim=(1, 2, 3)).sqrt()


def _psnr(difference: Tensor, eps: float) -> Tensor:
    """Minus the PSNR of each image, as NAFNet is trained (Chen et al. 2022, arXiv:2204.04676), averaged.

    Differs from the authors' code: their 1e-8 beside the error is eps^2 here (60 dB at 1e-3), because crops that were
    hardly degraded would otherwise rule the gradient.
    """
    return 10.0 * torch.log10(difference.square().mean(dim=(1, 2, 3)) + eps**2)


LOSSES = {"charbonnier": _charbonnier, "l1": _l1, "psnr": _psnr}
"""Name of the loss to its function of (restored - clean, eps)."""


class SupervisedMethod:
    """The base networks as a ``Method``."""

    name = "supervised"
    summary = "One network, trained on pairs of degraded and clean crops."
    config: type[BaseModel] = SupervisedConfig

    def restorer(self, config: BaseModel) -> Restorer:
        """The network of a checked ``SupervisedConfig`` as a restorer; its weights load on first use."""
        from restorekit.core.networks.catalogue import configure
        from restorekit.core.networks.routed_restorer import network_restorer

        checked = SupervisedConfig.model_validate(config.model_dump())
        weights = Path(checked.weights) if checked.weights else None
        return network_restorer(self.name, configure(checked.network, checked.network_options), weights)

    def task(self, config: BaseModel, recipe: object) -> TrainingTask:
        """A task with fresh weights from torch's global generator, or those of the config's file.

        Raises:
            RecipeError: routes that suit neither the network nor the recipe's degradation and training settings.
            ModelError: a weight file that is absent or for another network.
        """
        from restorekit.core.networks.catalogue import configure
        from restorekit.core.networks.loading import put_weights

        checked = SupervisedConfig.model_validate(config.model_dump())
        built = configure(checked.network, checked.network_options)
        network = built.build()
        if checked.weights:
            put_weights(network, load_weights(Path(checked.weights), dtype=torch.float32), checked.weights)
        options: dict[str, Any] = {
            "loss": checked.loss,
            "eps": checked.eps,
            "balance": checked.balance,
            "multiple_of": built.multiple_of,
        }
        if checked.routes is None:
            return SupervisedTask(network, **options)
        from restorekit.training.routed import RoutedTask, check_routes

        return RoutedTask(check_routes(checked.routes, network, recipe), checked.routes, **options)

    def metadata(self, config: BaseModel) -> dict[str, str]:
        """What makes a weight file load by itself, as ``file:weights.safetensors``."""
        from restorekit.core.networks.catalogue import configure

        checked = SupervisedConfig.model_validate(config.model_dump())
        built = configure(checked.network, checked.network_options)
        return {"network": checked.network, "config": built.model_dump_json()}


METHOD = SupervisedMethod()
