"""Plain supervised training of one network, degraded in and clean out: how the base networks are made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.core.restorer import Restorer, StepResult, TrainingTask
from restorekit.core.weights import load_weights
from restorekit.errors import ModelError, RecipeError
from restorekit.training.pixel_loss import LossName, PixelLoss
from restorekit.training.unsupervised import LOSSES as UNSUPERVISED
from restorekit.training.unsupervised import UnsupervisedLoss, UnsupervisedName, stages_of

__all__ = ["METHOD", "SupervisedConfig", "SupervisedMethod", "SupervisedTask", "UnsupervisedTask", "check_view"]


class SupervisedConfig(BaseModel):
    """Which network, and what it is trained to make small."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: str = Field(description="name of a network of restorekit.core.networks, such as nafnet")
    network_options: dict[str, Any] = Field(default_factory=dict, description="options of that network")
    weights: str | None = Field(
        default=None, description="a weights.safetensors of an earlier run; None: fresh weights"
    )
    loss: Literal[UnsupervisedName, LossName] = Field(
        default="charbonnier",
        description="charbonnier, l1 or psnr; zero_dce, sci or ruas for low light without clean photos",
    )
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
        description="of a network of several experts: the number of the expert for each alternative of the "
        "degradation, in their order; clean crops go to expert 0",
    )
    learn: Literal["router", "experts"] = Field(
        default="router", description="beside routes: the router, and nothing else, or the experts, and nothing else"
    )
    experts: tuple[str, ...] | None = Field(
        default=None, description="beside routes: a weights.safetensors of an earlier run for each expert"
    )
    tone_jitter: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="beside routes: how much the tones of what the router sees change at random, so that it does not "
        "know its photos by heart",
    )

    @model_validator(mode="after")
    def _experts_have_routes(self) -> "SupervisedConfig":
        if self.experts is not None and self.routes is None:
            raise ValueError("experts: expected none, since there are no routes to them, got some")
        return self

    @model_validator(mode="after")
    def _loss_has_its_photos(self) -> "SupervisedConfig":
        if self.loss in UNSUPERVISED and (self.routes is not None or self.balance is not None):
            raise ValueError(f"loss: expected one that knows clean photos beside routes or balance, got {self.loss}")
        return self

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
        pixels: what is made small.
        multiple_of: sizes of images must be multiples of it, in px.
        surveyed: the network reads the view of the whole photo first; see ``NetworkConfig.surveyed``.
    """

    def __init__(
        self, network: nn.Module, pixels: PixelLoss | None = None, *, multiple_of: int = 1, surveyed: bool = False
    ) -> None:
        self.network = network
        self.pixels = pixels or PixelLoss()
        self.multiple_of = multiple_of
        self.surveyed = surveyed

    def modules(self) -> Mapping[str, nn.Module]:
        """The one network."""
        return {"network": self.network}

    def step(self, batch: Mapping[str, Tensor], *, generator: torch.Generator) -> StepResult:  # noqa: ARG002
        """Restore the degraded crops; the loss is computed in float32 whatever the network's precision."""
        restored = self._restored(batch).float()
        return StepResult(self.pixels(restored, batch["degraded"], batch["clean"]))

    def after_step(self) -> None:
        """Nothing."""

    def restore(self, degraded: Images) -> Images:
        """What the network makes of it."""
        restored: Tensor = self.network(degraded)
        return restored

    def _restored(self, batch: Mapping[str, Tensor]) -> Tensor:
        network: Any = self.network
        if not self.surveyed:
            restored: Tensor = network(batch["degraded"])
        else:
            restored = network.restore(batch["degraded"], network.read(batch["view"], batch["degraded"][:, None]))
        return restored


class UnsupervisedTask(SupervisedTask):
    """A ``SupervisedTask`` that never looks at the clean crops.

    Args:
        network, multiple_of: of ``SupervisedTask``.
        loss: what is made small, in every stage of the network.
    """

    def __init__(self, network: nn.Module, loss: UnsupervisedLoss, *, multiple_of: int = 1) -> None:
        super().__init__(network, multiple_of=multiple_of)
        self.loss = loss

    def step(self, batch: Mapping[str, Tensor], *, generator: torch.Generator) -> StepResult:  # noqa: ARG002
        """Restore the degraded crops and judge what became of them."""
        return StepResult(self.loss(stages_of(self.network, batch["degraded"])))


class SupervisedMethod:
    """The base networks as a ``Method``."""

    name = "supervised"
    summary = "One network, trained on pairs of degraded and clean crops."
    config: type[BaseModel] = SupervisedConfig

    def restorer(self, config: BaseModel) -> Restorer:
        """The network of a checked ``SupervisedConfig`` as a restorer; its weights load on first use."""
        from restorekit.core.networks.catalogue import configure
        from restorekit.core.networks.surveyed import network_restorer

        checked = SupervisedConfig.model_validate(config.model_dump())
        weights = Path(checked.weights) if checked.weights else None
        return network_restorer(self.name, configure(checked.network, checked.network_options), weights)

    def task(self, config: BaseModel, recipe: object) -> TrainingTask:
        """A task with fresh weights from torch's global generator, or those of the config's file.

        Raises:
            RecipeError: routes that suit neither the network nor the recipe's degradation, or no view of whole photos
                for a network that reads it.
            ModelError: a weight file that is absent or for another network.
        """
        from restorekit.core.networks.catalogue import configure
        from restorekit.core.networks.loading import put_weights

        checked = SupervisedConfig.model_validate(config.model_dump())
        built = configure(checked.network, checked.network_options)
        network = built.build()
        if built.surveyed:
            check_view(checked.network, recipe)
        if checked.weights:
            put_weights(network, load_weights(Path(checked.weights), dtype=torch.float32), checked.weights)
        if checked.loss in UNSUPERVISED:
            return UnsupervisedTask(network, UnsupervisedLoss(checked.loss), multiple_of=built.multiple_of)
        pixels = PixelLoss(cast(LossName, checked.loss), eps=checked.eps, balance=checked.balance)
        if checked.routes is not None:
            from restorekit.training.router import router_task

            return router_task(
                network,
                checked.routes,
                checked.experts,
                recipe,
                tone_jitter=checked.tone_jitter,
                multiple_of=built.multiple_of,
                pixels=pixels if checked.learn == "experts" else None,
            )
        return SupervisedTask(network, pixels, multiple_of=built.multiple_of, surveyed=built.surveyed)

    def metadata(self, config: BaseModel) -> dict[str, str]:
        """What makes a weight file load by itself, as ``file:weights.safetensors``."""
        from restorekit.core.networks.catalogue import configure

        checked = SupervisedConfig.model_validate(config.model_dump())
        built = configure(checked.network, checked.network_options)
        return {"network": checked.network, "config": built.model_dump_json()}


def check_view(network: str, recipe: Any) -> None:
    """That a recipe gives views to a network that reads them.

    Raises:
        RecipeError: it does not.
    """
    if not recipe.training.view_px:
        raise RecipeError(
            f"training.view_px: expected the side of a view of the whole photo, which {network} reads, got 0; "
            "set it to 192"
        )


METHOD = SupervisedMethod()
