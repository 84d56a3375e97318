"""ZeroAIR as a ``Method``: how a checked recipe becomes a restorer, or the training of a diffusion model for it.

Importing this loads no torch, so that the command line can list what the method brings without waiting for it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel

if TYPE_CHECKING:
    from restorekit.core.restorer import Restorer, TrainingTask

__all__ = ["METHOD", "ZeroAIRMethod"]


class ZeroAIRMethod:
    """ZeroAIR (Gou et al. 2024, arXiv:2312.02197)."""

    name = "zeroair"
    summary = "A frozen diffusion model, guided towards one degraded image; nothing is learned from pairs."
    commands: ClassVar[Mapping[str, str]] = {
        "restore": "restorekit.zeroair.commands:restore",
        "convert": "restorekit.zeroair.commands:convert",
    }
    """Its own commands; ``restore`` takes the place of the general one."""

    @property
    def config(self) -> type[BaseModel]:
        """``ZeroAIRSettings``."""
        from restorekit.zeroair.settings import ZeroAIRSettings

        return ZeroAIRSettings

    def restorer(self, config: BaseModel) -> "Restorer":
        """The restorer of a checked ``ZeroAIRSettings``; its diffusion model loads on first use."""
        from restorekit.zeroair.restorer import ZeroAIRRestorer
        from restorekit.zeroair.settings import ZeroAIRSettings

        return ZeroAIRRestorer(self.name, ZeroAIRSettings.model_validate(config.model_dump()))

    def task(self, config: BaseModel, recipe: Any) -> "TrainingTask":
        """Training of the compact diffusion model; errors as in ``prior_task``."""
        from restorekit.zeroair.prior_task import PriorConfig, prior_task

        return prior_task(PriorConfig.model_validate(config.model_dump(include=set(PriorConfig.model_fields))), recipe)

    def metadata(self, config: BaseModel) -> dict[str, str]:
        """What makes a weight file a diffusion model that loads by itself.

        A preset is stored by its name alone, so that old weights are sampled as the preset says now.
        """
        from restorekit.priors.compact_diffusion import prior_metadata
        from restorekit.zeroair.settings import ZeroAIRSettings

        settings = ZeroAIRSettings.model_validate(config.model_dump())
        named = ZeroAIRSettings(preset=settings.preset, ablations=settings.ablations).sampling
        stored = settings.model_dump_json(exclude={"sampling"} if settings.sampling == named else set())
        return prior_metadata(settings.network) | {"method_config": stored}


METHOD = ZeroAIRMethod()
