"""A model's text becomes a restorer, or a message that helps."""

import pytest
import torch

from restorekit.core.networks import configure
from restorekit.core.restorer import Restorer
from restorekit.core.weights import save_weights
from restorekit.errors import ModelError, RecipeError, UsageError
from restorekit.methods import METHODS, load_method
from restorekit.zoo import DEFAULT_MODEL, list_models, load, model_identity, show_model, split_models


@pytest.mark.parametrize("name", [record.name for record in list_models()])
def test_every_listed_model_loads_and_keeps_its_name(name):
    restorer = load(name)
    assert isinstance(restorer, Restorer)
    assert restorer.name == name
    assert show_model(name).summary


def test_default_model_is_listed():
    assert DEFAULT_MODEL in [record.name for record in list_models()]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_answers_to_its_own_name(name):
    assert load_method(name).name == name


@pytest.mark.parametrize("name", ["classical:nml", "nlm", "classical", ""])
def test_unknown_models_list_the_valid_ones(name):
    with pytest.raises(ModelError, match=r"nlm"):
        load(name)


def test_options_reach_the_restorer():
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    weak, strong = (load(f"classical:nlm:sigma={sigma}").restore(image) for sigma in (1, 80))
    assert strong.std() < 0.5 * weak.std()


@pytest.mark.parametrize("text", ["classical:nlm:sigma", "classical:nlm:=3", "classical:nlm:sigma="])
def test_malformed_options_say_the_form(text):
    with pytest.raises(ModelError, match="key=value"):
        load(text)


def test_bad_options_are_named():
    with pytest.raises(ModelError, match="sigma"):
        load("classical:nlm:sgima=25")


def test_overrides_are_for_recipes():
    assert load("recipe:classical/nlm_sigma25", overrides=["config.options.sigma=10"]).name == "classical:nlm"
    with pytest.raises(RecipeError, match="recipe:NAME"):
        load("classical:nlm", overrides=["config.options.sigma=10"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "gpu"}, "--device: expected one of auto, cpu, cuda, mps, got 'gpu'"),
        ({"device": "cpu:x"}, "--device"),
        ({"precision": "fp16"}, "--precision: expected one of auto, float32, bfloat16, float16, got 'fp16'"),
        ({"device": "cpu", "precision": "float16"}, "float32 or bfloat16 on a CPU"),
    ],
)
def test_bad_placement_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        load("classical:nlm", **arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_absent_devices_are_refused():
    with pytest.raises(UsageError, match="expected a device of this machine, got 'cuda'"):
        load("classical:nlm", device="cuda")


def test_model_lists_split_at_models_not_at_options():
    assert split_models(["a:b:x=1,y=2,c:d", "e:f"]) == ["a:b:x=1,y=2", "c:d", "e:f"]


def test_files_say_which_network_they_are_for(tmp_path):
    torch.manual_seed(0)
    config = configure("dense_unet", {"widths": (8, 8), "blocks": (1, 1)})
    network = config.build()
    checkpoint = tmp_path / "w.safetensors"
    save_weights(checkpoint, network.state_dict(), {"network": "dense_unet", "config": config.model_dump_json()})
    image = torch.rand(1, 3, 16, 16)
    restored = load(f"file:{checkpoint}").restore(image)
    torch.testing.assert_close(restored, network.eval()(image))


def test_any_callable_can_be_a_model():
    image = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(load("python:torch.nn:Identity").restore(image), image)


@pytest.mark.parametrize("text", ["file:absent.safetensors", "python:no_such_module:factory", "python:torch"])
def test_absent_files_and_modules_are_named(text):
    with pytest.raises(ModelError, match=text.split(":")[1].partition(".")[0]):
        load(text)


def test_identity_of_a_model_follows_the_content_of_its_file(tmp_path):
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"one")
    first = model_identity(f"file:{weights}")
    assert model_identity(f"file:{weights}") == first
    weights.write_bytes(b"two")
    assert model_identity(f"file:{weights}") != first
    recipe = "recipe:classical/nlm_sigma25"
    assert model_identity(recipe) != model_identity(recipe, ["config.options.sigma=10"])
    assert model_identity("classical:nlm") == "classical:nlm"


def test_identity_of_own_code_follows_its_source_and_the_modules_beside_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "edited_net.py").write_text("SCALE = 1\n")
    (tmp_path / "edited_model.py").write_text("from edited_net import SCALE\n")
    found = [model_identity("python:edited_model:best")]
    (tmp_path / "edited_net.py").write_text("SCALE = 2\n")
    found.append(model_identity("python:edited_model:best"))
    (tmp_path / "edited_model.py").write_text("from edited_net import SCALE\n\n")
    found += [model_identity("python:edited_model:best"), model_identity("python:edited_model:worst")]
    assert len(set(found)) == 4
    assert all(text.startswith("python:edited_model:") for text in found)


def test_what_is_refined_can_be_another_models_result(tmp_path):
    composed = "refine(classical:nlm:sigma=25,distance_px=5)"
    assert split_models([f"base,{composed},constyle"]) == ["base", composed, "constyle"]
    restorer = load(composed)
    assert (restorer.name, restorer.base.name, load("refine").base.name) == (composed, "classical:nlm", "base")
    photo = torch.rand(1, 3, 16, 16)
    assert not torch.equal(restorer.restore(photo), load("refine").restore(photo))
    assert len({model_identity(model) for model in ("refine", composed, "refine(classical:nlm)")}) == 3
    with pytest.raises(ModelError, match=r"expected base, .* got 'nothing'"):
        load("refine(nothing)")
    with pytest.raises(RecipeError, match=r"config\.base: unknown key"):
        load("base(constyle)")
