"""Dual-pixel pairs from end to end: learned from, restored whole and in tiles, refused when a view is missing."""

import json

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import restorekit
from restorekit.cli.main import app
from restorekit.core.degradation.chain import parse_degradation
from restorekit.core.image.tiling import TilingOptions
from restorekit.core.weights import load_weights
from restorekit.errors import ImageError, ModelError, RecipeError, UsageError
from restorekit.priors.image_statistics import StatisticsPrior
from restorekit.recipe import Recipe, load_recipe
from restorekit.refine import METHOD
from restorekit.refine.settings import RefineConfig
from restorekit.refine.two_views import DualPixelRestorer, TwoViewNetwork
from restorekit.training import TrainingSettings
from restorekit.training.batches import CropBatches
from restorekit.training.pool import open_pool

CPU = torch.device("cpu")
NETWORK = {
    "in_channels": 6,
    "dual_pixel": True,
    "width": 4,
    "blocks": [1, 1],
    "heads": [1, 1],
    "refinement_blocks": 1,
}
CONFIG = {
    "base_network": "restormer",
    "base_options": NETWORK,
    "module": {"prior_dim": 31, "width": 4, "degraded_planes": 6},
    "prior": "statistics",
    "joint": True,
}
RECIPE = """
method = "refine"
degradation = "none"
[config]
base_network = "restormer"
base_options = { in_channels = 6, dual_pixel = true, width = 4, blocks = [1, 1], heads = [1, 1], refinement_blocks = 1 }
prior = "statistics"
joint = true
[config.module]
prior_dim = 31
width = 4
degraded_planes = 6
[training]
steps = 2
batch_size = 2
crop_px = 16
warmup_steps = 0
validate_every = 0
workers = 0
"""


def shaken(network):
    torch.manual_seed(1)
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.1)
    return network


# ------------------------------------------------------------------------------------------------------------- training


def test_prior_sees_the_mean_and_base_and_module_both_views() -> None:
    task = METHOD.task(RefineConfig(**CONFIG, loss="l1", student={"width": 2}), None)
    shaken(task.network.base)
    shaken(task.network.module)
    clean, *views = torch.rand(3, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0)).unbind()
    both, mean = torch.cat(views, dim=1), (views[0] + views[1]) / 2
    answer = task.step({"clean": clean, "degraded": both}, generator=torch.Generator())
    prior = StatisticsPrior().features(mean)
    with torch.no_grad():
        restored = task.network.base(both)
        refined = task.network.module(restored, both, prior)
    assert answer.logs["loss_base"] == pytest.approx(float((restored - clean).abs().mean()), rel=1e-4)
    assert answer.logs["loss_refined"] == pytest.approx(float((refined - clean).abs().mean()), rel=1e-4)
    cosine = nn.functional.cosine_similarity(task.network.student(mean), prior).mean()
    assert answer.logs["loss_student"] == pytest.approx(1 - float(cosine.detach()), rel=1e-4)
    answer.loss.backward()
    assert all(weight.grad is not None for weight in task.network.base.parameters())


def test_balance_looks_at_the_mean_view() -> None:
    config = RefineConfig(**CONFIG, loss="l1", balance=0.1)
    task = METHOD.task(config, None)
    shaken(task.network.base)
    clean, *views = torch.rand(3, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0)).unbind()
    views[0][0] = views[1][0] = clean[0]
    answer = task.step({"clean": clean, "degraded": torch.cat(views, dim=1)}, generator=torch.Generator())
    errors = (task.network.base(torch.cat(views, dim=1)).detach() - clean).abs().mean((1, 2, 3))
    rmse = ((views[0] + views[1]) / 2 - clean).square().mean((1, 2, 3)).sqrt()
    weights = 1 / (0.1 + rmse)
    assert answer.logs["loss_base"] == pytest.approx(float((errors * weights).sum() / weights.sum()), rel=1e-4)


def test_crops_of_pairs_are_kept_with_their_prior(folder, tmp_path) -> None:
    task = METHOD.task(RefineConfig(**CONFIG | {"joint": False}, prior_pool=4), None)
    pool = open_pool(folder, cache=tmp_path / "cache")
    settings = TrainingSettings(steps=2, batch_size=2, crop_px=16, workers=0)
    fresh = CropBatches(pool, parse_degradation("none"), settings, 0)
    batches = task.prepare_batches(fresh, folder=tmp_path, device=CPU)
    (batch,) = batches.steps(0, 1, device=CPU)
    assert batch["degraded"].shape == (2, 6, 16, 16)
    mean = (batch["degraded"][:, :3] + batch["degraded"][:, 3:]) / 2
    torch.testing.assert_close(batch["prior"], StatisticsPrior().features(mean))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"degradation": "blur:sigma=2"}, "degradation: expected none beside .* dual-pixel pairs .* got blur:sigma=2"),
        ({"data": {"validation": "photos"}}, "data.validation: expected None beside .* got photos"),
        ({"training": TrainingSettings(gray=True)}, "training.gray: expected False"),
        ({"training": TrainingSettings(scales=(1.0, 0.5))}, "training.scales: expected"),
    ],
)
def test_what_is_for_clean_photos_is_refused(settings, message) -> None:
    recipe = Recipe(**{"method": "refine", "degradation": "none", **settings})
    with pytest.raises(RecipeError, match=message):
        METHOD.task(RefineConfig(**CONFIG), recipe)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"base_network": None, "base_options": {}, "joint": False},
            "no other base takes dual-pixel pairs, got the base",
        ),
        ({"base_network": "nafnet", "base_options": {}}, "expected one from 6 planes to 3, as the module, got 3 to 3"),
        ({"features": "latent"}, "features: expected none beside dual-pixel pairs, got latent"),
        ({"loss": "sci"}, "expected one of pixels beside dual-pixel pairs, got sci"),
    ],
)
def test_settings_that_pairs_do_not_have_are_refused(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        RefineConfig(**CONFIG | changes)


# ------------------------------------------------------------------------------------------------------------ restoring


@pytest.fixture
def restorer():
    found = METHOD.restorer(RefineConfig(**CONFIG))
    assert isinstance(found, DualPixelRestorer)
    assert isinstance(found.base, TwoViewNetwork)
    shaken(found.base.module)
    shaken(found.module)
    return found


def views_of(height, width, batch=1):
    return torch.rand(2, batch, 3, height, width, generator=torch.Generator().manual_seed(height)).unbind()


def test_pair_is_restored_by_base_prior_and_module(restorer) -> None:
    left, right = views_of(16, 24, batch=2)
    both = torch.cat([left, right], dim=1)
    with torch.no_grad():
        restored = restorer.base.module(both)
        expected = restorer.module(restored, both, StatisticsPrior().features((left + right) / 2))
    found = restorer.restore_pair(left, right)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert (found - restorer.restore_pair(right, left)).abs().max() > 1e-3


def test_pairs_of_any_size_keep_it(restorer) -> None:
    assert restorer.restore_pair(*views_of(17, 31)).shape == (1, 3, 17, 31)


def test_tiled_pair_equals_the_whole(restorer) -> None:
    """With one convolution as base, whose receptive field is bounded: its tiles are exact."""
    left, right = ((255 * views[0].permute(1, 2, 0)).round().byte().numpy() for views in views_of(40, 250))
    restorer.base._module = nn.Conv2d(6, 3, 3, padding=1)
    tiles = []
    options = TilingOptions(tile_px=208, on_tile=lambda done, total: tiles.append(total))
    whole, tiled = (
        restorer.restore_pair_samples(left, right, options=given, dtype=np.float32)
        for given in (TilingOptions(tile_px=512), options)
    )
    assert max(tiles) > 1
    assert np.abs(tiled - whole).max() < 1e-4


def test_what_was_trained_on_pairs_restores_them(folder, scene, write, tmp_path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    run, cache = tmp_path / "run", tmp_path / "cache"
    arguments = ["refine", "train", tmp_path / "tiny.toml", "--data", folder, "-o", run, "--cache", cache, "--json"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["step"] == 2
    weights = run / "weights.safetensors"
    assert {name.partition(".")[0] for name in load_weights(weights)} == {"module", "base"}
    restorer = restorekit.load(f"file:{weights}", device="cpu")
    deep = {side: pixels.astype(np.uint16) * 257 for side, pixels in scene().items()}
    for side in ("inputL", "inputR"):
        write(tmp_path / "test" / side / "c.png", deep[side])
    (written,) = restorer.restore_pair_folder(tmp_path / "test", tmp_path / "out")
    found = cv2.imread(str(written), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert (written.name, found.dtype, found.shape) == ("c.png", np.uint16, (24, 40, 3))
    left, right = (
        torch.from_numpy(deep[side] / np.float32(65535)).permute(2, 0, 1)[None] for side in ("inputL", "inputR")
    )
    expected = restorer.restore_pair(left, right)[0].permute(1, 2, 0).clamp(0, 1).numpy() * 65535
    assert np.abs(found - expected).max() < 1
    single = CliRunner().invoke(
        app,
        [
            "refine",
            "restore",
            str(folder / "inputL" / "a.png"),
            "-o",
            str(tmp_path / "x.png"),
            "--model",
            f"file:{weights}",
        ],
    )
    assert single.exit_code != 0
    assert "expected the left and the right view of a dual-pixel pair, got one photo" in " ".join(single.stderr.split())


def test_pairs_that_do_not_fit_are_refused(restorer, scene, write, tmp_path) -> None:
    left, right = views_of(16, 24)
    with pytest.raises(
        ImageError, match=r"refine: expected a left and a right view of one shape, got \(1, 3, 16, 24\)"
    ):
        restorer.restore_pair(left, right[..., :20])
    write(tmp_path / "inputL" / "a.png", scene()["inputL"])
    with pytest.raises(UsageError, match=r"got no photo in inputR"):
        restorer.restore_pair_folder(tmp_path, tmp_path / "out")
    write(tmp_path / "inputR" / "a.png", scene(24, 30)["inputR"])
    with pytest.raises(ImageError, match=r"expected inputL/a.png and inputR/a.png of one shape, got \(24, 40, 3\) and"):
        restorer.restore_pair_folder(tmp_path, tmp_path / "out")
    for alone in (restorer, restorer.base):
        with pytest.raises(ImageError, match=r"dual-pixel pair, got one photo; give both in Python: restorekit.load"):
            alone.restore(left)


def test_network_of_one_photo_is_no_network_of_pairs() -> None:
    from restorekit.core.networks.nafnet import NAFNetConfig

    with pytest.raises(ModelError, match="expected a network from 6 planes to 3 that needs no survey"):
        TwoViewNetwork("nafnet", NAFNetConfig())


def test_recipe_differs_from_that_of_single_photos_in_the_pairs_alone() -> None:
    single, dual = (load_recipe(f"refine/table07_defocus_restormer_clip{suffix}") for suffix in ("", "_dual"))
    assert dual.degradation == "none"
    assert dual.config == single.config | {
        "base_options": {"in_channels": 6, "dual_pixel": True},
        "module": {"degraded_planes": 6},
    }
    assert dual.training == single.training.model_copy(update={"validate_every": 0})
