"""PTG-RM as a ``Method``: how a checked recipe becomes a restorer or a training task.

Importing this loads no torch, so that the command line can list what the method brings without waiting for it.
"""

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from restorekit.errors import RecipeError

if TYPE_CHECKING:
    from restorekit.core.restorer import Restorer, TrainingTask
    from restorekit.refine.parts import Parts
    from restorekit.refine.settings import RefineConfig

__all__ = ["METHOD", "RefineMethod"]


class RefineMethod:
    """PTG-RM (Xu et al. 2024, arXiv:2403.06793).

    Args:
        parts: the names that can be base and prior; None: priors alone, see ``given``.
    """

    name = "refine"
    summary = "A small module, guided by a pretrained network, refines the result of any restorer."
    convert = "restorekit.refine.convert:convert"
    """What ``restorekit models convert`` asks whether a checkpoint is of this method."""

    def __init__(self, parts: "Parts | None" = None) -> None:
        self._parts = parts

    def given(self, parts: "Parts") -> "RefineMethod":
        """The method where also bases can be named, and priors that lie in weight files."""
        return RefineMethod(parts)

    @property
    def config(self) -> type[BaseModel]:
        """``RefineConfig``."""
        from restorekit.refine.settings import RefineConfig

        return RefineConfig

    def restorer(self, config: BaseModel) -> "Restorer":
        """Base, module and prior of a checked ``RefineConfig``; weights load on first use.

        Raises:
            ModelError, SpecError: a base or a prior of an unknown name; a weight file that is absent or damaged.
        """
        from restorekit.refine.assembly import assemble

        return assemble(self.name, self._checked(config), self._known)

    def task(self, config: BaseModel, recipe: Any) -> "TrainingTask":
        """A task with fresh weights from torch's global generator, or those of the config's file.

        Raises:
            RecipeError: settings that do not suit the base, the prior, or the recipe's training settings.
            ModelError, SpecError: a base or a prior of an unknown name; weights that are absent, damaged, or of another
                module.
            DependencyError: the prior's weights are absent.
        """
        from restorekit.refine.assembly import assemble_task

        checked = self._checked(config)
        _check_recipe(checked, recipe)
        task = assemble_task(checked, self._known)
        if checked.joint and checked.routes is not None:
            from restorekit.training.router import checked_routes

            checked_routes(task.network.base, checked.routes, recipe)
        return task

    def metadata(self, config: BaseModel) -> dict[str, str]:
        """The configuration as it describes the weight file: with the base inside, where it is inside."""
        from restorekit.refine.assembly import describe

        return {"method_config": describe(self._checked(config), self._known).model_dump_json()}

    @property
    def _known(self) -> "Parts":
        from restorekit.refine.parts import LocalParts

        return self._parts or LocalParts()

    def _checked(self, config: BaseModel) -> "RefineConfig":
        from restorekit.refine.settings import RefineConfig

        return RefineConfig.model_validate(config.model_dump())


def _check_recipe(config: "RefineConfig", recipe: Any) -> None:
    """What the recipe's training settings must be like."""
    training = getattr(recipe, "training", None)
    if training is not None and config.control == "shuffled" and training.batch_size < 2:
        raise RecipeError(
            f"training.batch_size: expected at least 2, to shuffle priors between, got {training.batch_size}"
        )
    if config.dual_pixel:
        _check_pairs(recipe)
    if training is None or config.loss != "enlightengan":
        return
    from restorekit.training.enlightengan import PATCH_PX

    if training.batch_size < 2 or training.crop_px < PATCH_PX:
        raise RecipeError(
            f"training: expected a batch of at least 2, for photos of something else, and crops of at least {PATCH_PX} "
            f"px, for the patches of enlightengan, got {training.batch_size} and {training.crop_px}"
        )
    if recipe.degradation == "none":
        raise RecipeError(
            "degradation: expected one that darkens, such as low_light, since enlightengan learns from the clean "
            "photos what is bright, got none"
        )


def _check_pairs(recipe: Any) -> None:
    """That nothing is asked of dual-pixel pairs that is made for clean photos."""
    if recipe is None:
        return
    asked: dict[str, tuple[object, object]] = {
        "degradation": (recipe.degradation, "none"),
        "data.validation": (recipe.data.validation, None),
    }
    if recipe.training is not None:
        wanted = {"scales": (1.0,), "gray": False, "clean_share": 0.0, "view_px": 0}
        asked |= {f"training.{key}": (getattr(recipe.training, key), value) for key, value in wanted.items()}
    for name, (got, expected) in asked.items():
        if got != expected:
            raise RecipeError(
                f"{name}: expected {expected} beside module.degraded_planes = 6, since dual-pixel pairs are taken as "
                f"they are, got {got}"
            )


METHOD = RefineMethod()
