"""Settings of a refinement that cannot work are refused, with what would be valid."""

import pytest
import torch

from restorekit.core.weights import save_weights
from restorekit.errors import ModelError, RecipeError, SpecError
from restorekit.recipe import Recipe
from restorekit.refine import METHOD
from restorekit.refine.controls import RandomPrior, ZeroPrior
from restorekit.refine.settings import CONTROLS, RefineConfig
from restorekit.training import TrainingSettings


def test_unknown_names_list_the_valid_ones() -> None:
    with pytest.raises(
        ModelError, match=r"one of nafnet, restormer, dense_unet, .* got the model 'nafnt'.*mean nafnet"
    ):
        METHOD.restorer(RefineConfig(base="nafnt"))
    with pytest.raises(SpecError, match=r"prior: expected one of statistics, .* got 'clop'; did you mean clip"):
        METHOD.restorer(RefineConfig(base_network="dense_unet", prior="clop"))


def test_weights_of_another_method_are_refused(tmp_path) -> None:
    save_weights(tmp_path / "w.safetensors", {"x": torch.zeros(1)}, {"method": "constyle"})
    with pytest.raises(ModelError, match="expected the weights of a refinement, got those of constyle"):
        METHOD.restorer(RefineConfig(base="classical:gamma", weights=str(tmp_path / "w.safetensors")))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"base_options": {"width": 8}}, "base_options: expected none, since no base_network is named"),
        ({"base_network": "nafnt"}, "base_network: network: expected one of nafnet"),
        (
            {"base_network": "nafnet", "base_options": {"channels": 1}},
            "expected one from 3 planes to 3, as the module, got 1 to 1",
        ),
        (
            {"module": {"degraded_planes": 6}},
            "base_network: expected a network from 6 planes to 3 .* got the base base",
        ),
        ({"module": {"restored_planes": 1, "degraded_planes": 2}}, r"or 6 and 3 \(dual-pixel pairs\), got 2 and 1"),
        ({"module": {"restored_planes": 1, "degraded_planes": 1}, "loss": "sci"}, "got sci, which judges colours"),
        ({"loss_features": "vgg.pth"}, "loss_features: expected none beside loss = charbonnier, got vgg.pth"),
        ({"swap": "zero", "control": "random"}, "swap: expected none beside control = random"),
        ({"swap": "mean", "module": {"prior_use": "none"}}, "swap: expected none beside prior_use = none"),
        ({"joint": True, "embed_base": False}, "embed_base: expected true, since the base has weights of its own"),
        ({"learn": "student"}, "learn: expected all, since no student is described, got student"),
        ({"learn": "student", "student": {}, "weights": "w", "joint": True}, "since only the student learns"),
        (
            {"student": {}, "module": {"prior_use": "concat_2d"}},
            "student: expected none, since it foretells one vector",
        ),
        ({"student": {}, "control": "zero"}, "student: expected none beside control = zero"),
        ({"student": {}, "embed_prior": True}, "embed_prior: expected false"),
        ({"loss": "sci", "balance": 0.1}, "loss: expected one that knows clean photos beside balance, got sci"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values, message) -> None:
    with pytest.raises(ValueError, match=message):
        RefineConfig(**values)


@pytest.mark.parametrize(("control", "kind"), [("zero", ZeroPrior), ("random", RandomPrior)])
def test_module_trained_with_a_control_is_used_with_it(control, kind) -> None:
    restorer = METHOD.restorer(RefineConfig(base_network="dense_unet", prior="clip", control=control))
    assert isinstance(restorer.prior, kind)
    assert control in CONTROLS


def test_student_alone_asks_for_the_module_that_it_is_for() -> None:
    with pytest.raises(RecipeError, match=r"config.weights: expected the weights of the refinement .* got none; give"):
        METHOD.task(RefineConfig(base_network="dense_unet", student={}, learn="student"), None)


def test_batch_of_one_cannot_be_shuffled() -> None:
    recipe = Recipe(method="refine", training=TrainingSettings(batch_size=1))
    with pytest.raises(
        RecipeError, match=r"training.batch_size: expected at least 2, to shuffle priors between, got 1"
    ):
        METHOD.task(RefineConfig(base_network="dense_unet", control="shuffled"), recipe)
