"""Refinement inside the base network: the named part's features, and nothing else, are refined."""

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from restorekit.core.image.tiling import TilingOptions, restore_samples
from restorekit.core.networks import configure
from restorekit.core.restorer import GlobalRestorer, Window
from restorekit.core.weights import load_metadata, save_weights
from restorekit.errors import ModelError, RecipeError
from restorekit.priors.image_statistics import StatisticsPrior
from restorekit.recipe import parse_document
from restorekit.refine import METHOD
from restorekit.refine.config import RefinementConfig
from restorekit.refine.controls import score_controls
from restorekit.refine.features import FeatureRefinement, features_refined, planes_of
from restorekit.refine.settings import RefineConfig

NAFNET = {"width": 4, "encoder_blocks": [1], "middle_blocks": 1, "decoder_blocks": [1]}
CONFIG = {
    "base_network": "nafnet",
    "base_options": NAFNET,
    "features": "middle",
    "module": {"prior_dim": 31, "width": 4},
    "prior": "statistics",
}


def task_of(**changes):
    torch.manual_seed(0)
    task = METHOD.task(RefineConfig(**CONFIG | changes), None)
    for parameter in task.network.base.parameters():
        nn.init.normal_(parameter, std=0.2)
    return task


def saved(task, path, **changes):
    metadata = {"method": "refine", **METHOD.metadata(RefineConfig(**CONFIG | changes))}
    save_weights(path, task.network.state_dict(), metadata)
    config = METHOD.config.model_validate(json.loads(load_metadata(path)["method_config"]))
    return METHOD.restorer(config.model_copy(update={"weights": str(path)}))


def shake(module):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return module


def batch():
    generator = torch.Generator().manual_seed(2)
    clean = torch.rand(2, 3, 16, 16, generator=generator)
    return {"degraded": (clean + 0.1 * torch.randn(clean.shape, generator=generator)).clamp(0, 1), "clean": clean}


def test_only_the_named_part_is_refined() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 1), nn.Conv2d(6, 3, 3, padding=1))
    module = shake(FeatureRefinement(RefinementConfig(prior_dim=5, width=4), 6))
    image, prior = torch.rand(2, 3, 8, 12), F.normalize(torch.randn(2, 5))
    before = network(image)
    with features_refined(network, "1", module, prior):
        refined = network(image)
    expected = network[2](module(network[1](network[0](image)), prior))
    torch.testing.assert_close(refined, expected)
    assert (refined - before).abs().mean() > 0.01
    assert torch.equal(network(image), before)


def test_mask_and_residual_act_as_written() -> None:
    """Without enhancement and attention two convolutions are left."""
    options = {"fusion": "none", "channel_attention": False, "spatial_attention": False, "prior_use": "none"}
    module = shake(FeatureRefinement(RefinementConfig(width=4, **options), 6)).double()
    features = torch.randn(1, 6, 5, 7, dtype=torch.float64)
    inner = F.conv2d(features, module.enter.weight, module.enter.bias)
    answer = F.conv2d(inner, module.leave.weight, module.leave.bias, padding=1)
    expected = features * (1 + torch.tanh(answer[:, :1])) + answer[:, 1:]
    torch.testing.assert_close(module(features), expected, rtol=0, atol=1e-12)


def test_prior_of_another_length_is_refused() -> None:
    module = FeatureRefinement(RefinementConfig(prior_dim=5, width=4), 6)
    with pytest.raises(ModelError, match=r"expected a prior of shape \(1, 5\), got \(1, 4\)"):
        module(torch.zeros(1, 6, 4, 4), torch.zeros(1, 4))


def test_tiles_know_their_place() -> None:
    """Position enters by the window: the features of a tile at another place are refined otherwise."""
    module = shake(FeatureRefinement(RefinementConfig(prior_dim=5, width=4), 6))
    features, prior = torch.rand(1, 6, 8, 8), F.normalize(torch.randn(1, 5))
    whole = Window(0, 0, 32, 32, full_height=32, full_width=32)
    torch.testing.assert_close(module(features, prior, window=whole), module(features, prior))
    corner = Window(32, 0, 32, 32, full_height=64, full_width=64)
    assert (module(features, prior, window=corner) - module(features, prior)).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("network", "options", "part", "planes"),
    [
        ("nafnet", NAFNET, "middle", 8),
        ("restormer", {"width": 8, "blocks": [1, 1, 1, 1], "refinement_blocks": 1}, "latent", 64),
        ("snr_aware", {"width": 2, "layers": 1, "heads": 1}, "after", 2),
        ("dense_unet", {"widths": [4, 8], "blocks": [1, 1]}, "encoder.0", 4),
    ],
)
def test_width_of_a_part_is_found(network: str, options: dict[str, object], part: str, planes: int) -> None:
    assert planes_of(configure(network, options), part) == planes


def test_fresh_module_changes_nothing(tmp_path) -> None:
    task = task_of()
    restorer, image = saved(task, tmp_path / "w.safetensors"), torch.rand(1, 3, 16, 24)
    assert isinstance(restorer, GlobalRestorer)
    with torch.no_grad():
        torch.testing.assert_close(restorer.restore(image), task.network.base(image), rtol=0, atol=1e-6)


@pytest.mark.parametrize("joint", [False, True])
def test_training_reaches_the_module_and_a_joint_base(joint: bool, tmp_path) -> None:
    task = task_of(joint=joint)
    module, base = task.network.module, task.network.base
    before = {name: weight.clone() for name, weight in base.state_dict().items()}
    weights = [weight for weight in task.network.parameters() if weight.requires_grad]
    optimiser = torch.optim.Adam(weights, lr=1e-2)
    losses = []
    for _ in range(12):
        result = task.step(batch(), generator=torch.Generator())
        optimiser.zero_grad()
        result.loss.backward()
        optimiser.step()
        losses.append(result.logs["loss_refined"])
    assert losses[-1] < losses[0]
    assert all(bool(weight.grad.any()) for weight in module.parameters())
    assert ("loss_base" in result.logs) == joint
    moved = [name for name, weight in base.state_dict().items() if not torch.equal(weight, before[name])]
    assert bool(moved) == joint
    image = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        prior = StatisticsPrior().features(image)
        with features_refined(base, "middle", module, prior):
            expected = base(image)
    restored = saved(task, tmp_path / "w.safetensors", joint=joint).restore(image)
    torch.testing.assert_close(restored, expected, rtol=0, atol=1e-5)


def test_joint_base_learns_although_a_pool_keeps_its_results() -> None:
    """The pool may come from a run with a frozen base."""
    task = task_of(features=None, joint=True)
    task.step(batch() | {"restored": torch.zeros(2, 3, 16, 16)}, generator=torch.Generator()).loss.backward()
    assert all(weight.grad is not None for weight in task.network.base.parameters())
    assert any(bool(weight.grad.any()) for weight in task.network.base.parameters())


def test_controls_are_scored_inside_a_network_too(tmp_path) -> None:
    task = task_of()
    shake(task.network.module)
    pairs = [tuple(torch.rand(2, 1, 3, 16, 16).unbind()) for _ in range(2)]
    scores = score_controls(saved(task, tmp_path / "w.safetensors"), pairs)
    assert set(scores) == {"base", "true", "zero", "shuffled", "mean", "random"}
    assert scores["true"] != scores["zero"] != scores["base"]


def test_photos_larger_than_a_tile_are_restored(tmp_path) -> None:
    task = task_of()
    restorer = saved(task, tmp_path / "w.safetensors")
    photo = torch.rand(1, 3, 150, 310)
    samples = photo[0].permute(1, 2, 0).numpy()
    tiled = restore_samples(restorer, samples, TilingOptions(192))
    whole = restore_samples(restorer, samples, TilingOptions(512))
    assert tiled.shape == whole.shape == samples.shape
    assert abs(tiled - whole).mean() < 0.02


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"features": "midle"},
            r"config\.features: expected a part such as .*middle.*got 'midle'; did you mean middle",
        ),
        (
            {"base_network": "snr_aware", "base_options": {"width": 2, "layers": 1, "heads": 1}, "features": "long.0"},
            r"got long\.0, which answers \(1, 4, 32\); name another",
        ),
        (
            {"base_network": "routed_unets", "base_options": {}},
            r"only networks of restorekit\.core that need no look at the whole photo .* routed_unets is none",
        ),
    ],
)
def test_parts_that_cannot_be_refined_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        METHOD.restorer(RefineConfig(**CONFIG | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"module": {"fusion": "snr"}}, r"features: expected none beside module\.fusion = snr"),
        ({"base_network": None, "base_options": {}, "embed_base": False}, r"features: expected none beside embed_base"),
    ],
)
def test_settings_that_do_not_agree_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_document(RefineConfig, CONFIG | changes, "recipe")
