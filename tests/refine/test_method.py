"""Refinement as a method of the house: recipes in, weight files that suffice by themselves out."""

import json
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from restorekit.core.classical import build_classical
from restorekit.core.degradation.chain import parse_degradation
from restorekit.core.networks.dense_unet import DenseUNetConfig
from restorekit.core.networks.restorer import NetworkRestorer
from restorekit.core.restorer import GlobalRestorer, Method
from restorekit.core.weights import load_metadata, load_weights, save_weights
from restorekit.errors import ModelError, RecipeError
from restorekit.methods import load_method
from restorekit.priors.image_statistics import StatisticsPrior
from restorekit.recipe import Recipe
from restorekit.refine import METHOD
from restorekit.refine.settings import RefineConfig
from restorekit.refine.student import StudentPrior
from restorekit.training import CropBatches, TrainingSettings, open_pool, run_recipe, train
from restorekit.training.run import TrainableMethod

UNET = {"widths": [4, 8], "blocks": [1, 1]}
MODULE = {"prior_dim": 31, "width": 4}
INSIDE = {"base_network": "dense_unet", "base_options": UNET, "module": MODULE, "prior": "statistics"}
NAMED = {"base": "unet", "module": MODULE, "prior": "statistics"}


class TinyNetwork(nn.Module):
    """What a learned prior embeds."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.layer = nn.Conv2d(3, 31, 3)


class TinyPrior:
    """A prior with weights of its own, from the file or from where they usually are."""

    name, dim = "tiny", 31

    def __init__(self, tensors=None):
        self.network = TinyNetwork()
        if tensors is not None:
            self.network.load_state_dict(tensors())

    def to(self, device, precision="float32"):
        return self

    @torch.no_grad()
    def features(self, images):
        return F.normalize(self.network.layer(images).mean((2, 3)), dim=1)

    def feature_map(self, images):
        return F.normalize(self.network.layer(images), dim=1)


class Zoo:
    """The names that the tests know."""

    def __init__(self, path):
        self.path = path
        self.embedded = []

    def restorer(self, name):
        if name == "unet":
            return NetworkRestorer("unet", DenseUNetConfig(**UNET), self.path)
        return build_classical(name.removeprefix("classical:"), {})

    def prior(self, name, tensors=None):
        if name == "statistics":
            return StatisticsPrior()
        self.embedded.append(tensors is not None)
        return TinyPrior(tensors)


@pytest.fixture
def zoo(tmp_path):
    torch.manual_seed(4)
    network = DenseUNetConfig(**UNET).build()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    halves = {name: tensor.half() for name, tensor in network.state_dict().items()}
    save_weights(tmp_path / "unet.safetensors", halves)
    return Zoo(tmp_path / "unet.safetensors")


@pytest.fixture
def trained(zoo, tmp_path, photos):
    """The weight file of a few steps of a recipe."""

    def run(config, *, name="run", steps=2, **training):
        settings = TrainingSettings(
            steps=steps,
            batch_size=2,
            crop_px=16,
            learning_rate=0.05,
            warmup_steps=0,
            validate_every=0,
            workers=0,
            **training,
        )
        recipe = Recipe(
            method="refine", config=config, data={"train": str(photos)}, degradation="noise:sigma=25", training=settings
        )
        result = run_recipe(recipe, METHOD.given(zoo), settings, output=tmp_path / name, cache=tmp_path / "cache")
        return result.weights

    return run


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    import cv2
    import numpy as np

    folder = tmp_path_factory.mktemp("photos")
    cv2.imwrite(str(folder / "a.png"), np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8))
    return folder


def from_file(path, method=METHOD):
    """As the zoo loads ``file:PATH``."""
    metadata = load_metadata(path)
    assert metadata["method"] == "refine"
    config = method.config.model_validate(json.loads(metadata["method_config"]))
    return method.restorer(config.model_copy(update={"weights": str(path)}))


def images():
    return torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))


def test_method_keeps_the_protocols() -> None:
    assert load_method("refine") is METHOD
    assert isinstance(METHOD, Method)
    assert isinstance(METHOD, TrainableMethod)
    assert METHOD.config is RefineConfig


def test_fresh_method_restores_like_its_base() -> None:
    restorer = METHOD.restorer(RefineConfig(**INSIDE))
    assert isinstance(restorer, GlobalRestorer)
    assert restorer.name == "refine"
    torch.testing.assert_close(restorer.restore(images()), restorer.base.restore(images()), atol=1e-6, rtol=0)


@pytest.mark.parametrize("joint", [False, True])
def test_weight_file_is_enough_whatever_its_base_was_called(joint, trained, zoo) -> None:
    """Frozen: the base is bit for bit that of the name. Joint: it is another one, and the file brings it."""
    path = trained({**NAMED, "joint": joint})
    restorer = from_file(path)
    named = zoo.restorer("unet").restore(images())
    same = torch.equal(restorer.base.restore(images()), named)
    assert same is not joint
    assert (restorer.restore(images()) - restorer.base.restore(images())).abs().max() > 1e-4


def test_recipe_with_trained_weights_takes_the_base_of_the_file(trained, zoo) -> None:
    """``recipe:NAME --set config.weights=FILE``: the name alone would give the base before it was trained."""
    path = trained({**NAMED, "joint": True})
    config = RefineConfig(**NAMED, joint=True, weights=str(path))
    restorer = METHOD.given(zoo).restorer(config)
    torch.testing.assert_close(restorer.restore(images()), from_file(path).restore(images()))


def test_base_that_is_no_network_stays_a_name(trained, zoo) -> None:
    path = trained({**NAMED, "base": "classical:gamma"})
    assert {name.partition(".")[0] for name in load_weights(path)} == {"module"}
    restorer = from_file(path, METHOD.given(zoo))
    assert restorer.base.name == "classical:gamma"
    with pytest.raises(ModelError, match="got the model 'classical:gamma', which only the zoo knows"):
        from_file(path)


def test_frozen_base_may_stay_a_name(trained, zoo) -> None:
    path = trained({**NAMED, "embed_base": False})
    assert {name.partition(".")[0] for name in load_weights(path)} == {"module"}
    restorer = from_file(path, METHOD.given(zoo))
    torch.testing.assert_close(restorer.base.restore(images()), zoo.restorer("unet").restore(images()))


def test_student_ships_in_place_of_the_prior(trained) -> None:
    """First the module, then its student; what is restored with the student alone needs no prior by name."""
    first = trained({**NAMED, "prior": "tiny"})
    second = trained(
        {**NAMED, "prior": "tiny", "weights": str(first), "student": {"width": 2}, "learn": "student"}, name="second"
    )
    tensors, before = load_weights(second), load_weights(first)
    assert all(torch.equal(tensors[name], before[name]) for name in before)
    restorer = from_file(second)
    assert isinstance(restorer.prior, StudentPrior)
    restorer.restore(images())
    third = trained({**NAMED, "prior": "tiny", "weights": str(second), "student": {"width": 2}}, name="third", steps=1)
    moved = (load_weights(third)["student.answer.weight"].float() - tensors["student.answer.weight"].float()).abs()
    assert 0 < moved.max() < 0.2


def test_embedded_prior_comes_from_the_weight_file(trained, zoo) -> None:
    path = trained({**NAMED, "prior": "tiny", "embed_prior": True})
    inside = {name: tensor for name, tensor in load_weights(path).items() if name.startswith("prior.")}
    torch.testing.assert_close(inside["prior.layer.weight"], TinyNetwork().layer.weight.detach().half())
    zoo.embedded.clear()
    restorer = from_file(path, METHOD.given(zoo))
    assert zoo.embedded == [True]
    torch.testing.assert_close(restorer.prior.network.layer.weight.detach(), inside["prior.layer.weight"].float())
    with pytest.raises(ModelError, match="got 'tiny' inside, which only the zoo knows"):
        from_file(path)


def test_pool_of_crops_is_made_once_and_learned_from(zoo, photos, tmp_path) -> None:
    config = RefineConfig(**NAMED, prior_pool=8)
    settings = TrainingSettings(steps=3, batch_size=4, crop_px=16, workers=0, validate_every=0)
    fresh = CropBatches(open_pool(photos, cache=tmp_path), parse_degradation("noise:sigma=25"), settings, 0)
    notes: list[list[str]] = [[], []]
    weights = []
    for name, told in zip(("made", "kept"), notes, strict=True):
        torch.manual_seed(0)
        task = METHOD.given(zoo).task(config, None)
        batches = task.prepare_batches(fresh, folder=tmp_path, device=torch.device("cpu"), on_note=told.append)
        (batch,) = batches.steps(0, 1, device=torch.device("cpu"))
        torch.testing.assert_close(batch["prior"], StatisticsPrior().features(batch["degraded"]))
        with torch.no_grad():
            restored = zoo.restorer("unet").restore(batch["degraded"])
        torch.testing.assert_close(batch["restored"], restored, atol=2e-3, rtol=2e-3)
        weights.append(train(task, batches, settings, output=tmp_path / name).weights)
    assert [len(told) for told in notes] == [1, 0]
    first, second = (load_weights(path) for path in weights)
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_without_a_pool_crops_are_always_new(zoo, photos, tmp_path) -> None:
    settings = TrainingSettings(batch_size=4, crop_px=16)
    fresh = CropBatches(open_pool(photos, cache=tmp_path), parse_degradation("noise:sigma=25"), settings, 0)
    task = METHOD.given(zoo).task(RefineConfig(**NAMED), None)
    assert task.prepare_batches(fresh, folder=tmp_path, device=torch.device("cpu")) is fresh


def test_restorer_is_pickled_without_weights(trained) -> None:
    restorer = from_file(trained(NAMED))
    expected = restorer.restore(images())
    pickled = pickle.dumps(restorer)
    assert len(pickled) < 10_000
    torch.testing.assert_close(pickle.loads(pickled).restore(images()), expected)


# ----------------------------------------------------------------------------------------------------------- bad input


def test_checkpoint_of_another_shape_says_which_tensor_differs(trained) -> None:
    path = trained(NAMED)
    wider = RefineConfig(**{**NAMED, "module": {**MODULE, "width": 8}}, weights=str(path))
    expected = r"expected encoder.stem.weight of shape \(8, 6, 3, 3\), got \(4, 6, 3, 3\)"
    with pytest.raises(ModelError, match=expected):
        METHOD.restorer(wider).restore(images())
    with pytest.raises(ModelError, match=expected):
        METHOD.task(wider, None)


def test_weights_without_a_module_are_refused(zoo) -> None:
    with pytest.raises(ModelError, match="expected the weights of a refinement with a part 'base', got decoder"):
        METHOD.task(RefineConfig(**INSIDE, weights=str(zoo.path)), None)


def test_prior_of_another_length_is_refused_before_training(zoo) -> None:
    config = RefineConfig(**{**NAMED, "module": {"prior_dim": 512, "width": 4}})
    with pytest.raises(
        RecipeError, match=r"config.module.prior_dim: expected 31, the length of the vectors of statistics"
    ):
        METHOD.given(zoo).task(config, None)


def test_base_that_cannot_learn_is_refused(zoo) -> None:
    with pytest.raises(
        RecipeError, match=r"only a network of restorekit.core .* classical:gamma is none; leave it frozen"
    ):
        METHOD.given(zoo).task(RefineConfig(**{**NAMED, "base": "classical:gamma"}, joint=True), None)


def test_prior_without_weights_cannot_be_embedded(zoo) -> None:
    with pytest.raises(RecipeError, match="since statistics has no weights to embed"):
        METHOD.given(zoo).task(RefineConfig(**NAMED, embed_prior=True), None)


def test_student_alone_learns_from_the_prior_inside_the_file(trained, zoo) -> None:
    first = trained({**NAMED, "prior": "tiny", "embed_prior": True})
    zoo.embedded.clear()
    config = RefineConfig(**{**NAMED, "prior": "statistics"}, weights=str(first), student={"width": 2}, learn="student")
    task = METHOD.given(zoo).task(config, None)
    assert zoo.embedded == [True]
    assert "prior" not in dict(task.network.named_children())
    assert json.loads(METHOD.given(zoo).metadata(config)["method_config"])["prior"] == "tiny"
