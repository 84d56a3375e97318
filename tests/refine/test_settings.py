"""Settings of a refinement that cannot work are refused, with what would be valid."""

import pytest
import torch

from restorekit.core.weights import save_weights
from restorekit.errors import ModelError, SpecError
from restorekit.refine import METHOD
from restorekit.refine.controls import RandomPrior, ZeroPrior
from restorekit.refine.settings import CONTROLS, RefineConfig


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
        ({"base_network": "nafnet", "base_options": {"channels": 1}}, "expected one from 3 planes to 3, got 1 to 1"),
        ({"module": {"restored_planes": 1, "degraded_planes": 1}}, "recipes are about RGB photos, got 1 and 1"),
        ({"joint": True, "embed_base": False}, "embed_base: expected true, since the base has weights of its own"),
        ({"learn": "student"}, "learn: expected all, since student or weights are not given"),
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
