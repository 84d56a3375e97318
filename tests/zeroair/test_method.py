"""The method in the house: recipes build it, training writes files that restore, and the command restores photos."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image

from restorekit.batch import BatchOptions, restore_files
from restorekit.core.image.pairs import NamedInput
from restorekit.core.weights import save_weights
from restorekit.errors import ModelError, RecipeError, UsageError
from restorekit.methods import load_method
from restorekit.priors.compact_diffusion import CompactDiffusionConfig
from restorekit.priors.gaussian_diffusion_prior import GaussianDiffusionPrior
from restorekit.zeroair import METHOD, ZeroAIRRestorer, ZeroAIRSettings
from restorekit.zeroair.commands import restore
from restorekit.zoo import load

TINY = {"widths": (8, 8), "blocks": (1, 1), "head_channels": 4, "code_dim": 8}
SHORT = {"sampling": {"steps": 2, "auxiliary": "image", "fit": {"inner_steps": 1}}}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """What a training run of a tiny network would leave, untrained."""
    config = ZeroAIRSettings.model_validate({"network": TINY, **SHORT})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CompactDiffusionConfig.model_validate(TINY).build()
    note = {"method": "zeroair", "method_config": config.model_dump_json(), **METHOD.metadata(config)}
    path = tmp_path / "weights.safetensors"
    save_weights(path, network.state_dict(), note)
    return path


def photo(folder: Path, name: str = "in.png") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 33, 3), dtype=np.uint8)).save(path)
    return path


def test_method_is_in_the_house_and_says_what_it_takes() -> None:
    assert load_method("zeroair") is METHOD
    assert METHOD.config is ZeroAIRSettings


def test_weight_file_restores_by_itself(weights: Path) -> None:
    restorer = load(f"file:{weights}", device="cpu")
    assert isinstance(restorer, ZeroAIRRestorer)
    assert restorer.settings.sampling.steps == 2
    degraded = torch.rand(1, 3, 20, 33, generator=torch.Generator().manual_seed(0))
    restored = restorer.restore(degraded)
    assert restored.shape == degraded.shape
    assert not torch.equal(restored, degraded)


def test_task_trains_the_network_of_the_settings_from_clean_photos() -> None:
    config = ZeroAIRSettings.model_validate({"network": TINY})
    recipe = SimpleNamespace(degradation="none", training=SimpleNamespace(validation={}))
    (network,) = METHOD.task(config, recipe).modules().values()
    built = CompactDiffusionConfig.model_validate(TINY).build()
    assert {name: values.shape for name, values in network.state_dict().items()} == {
        name: values.shape for name, values in built.state_dict().items()
    }
    recipe.degradation = "noise:sigma=25"
    with pytest.raises(RecipeError, match="degradation: expected none, since a diffusion prior learns clean photos"):
        METHOD.task(config, recipe)


# ---------------------------------------------------------------------------------------------------------- the command


def loader(path: Path | None) -> Callable[..., Any]:
    """``load_model`` as the command line gives it."""

    def load_model(model: str, **settings: Any) -> Any:
        return load(model or f"file:{path}", **settings)

    return load_model


def test_command_makes_the_pixels_of_the_general_one(weights: Path, tmp_path: Path) -> None:
    source = photo(tmp_path)
    restore([str(source)], load_model=loader(weights), output=tmp_path / "own.png", device="cpu", seed=5)
    (outcome,) = restore_files(
        load(f"file:{weights}", device="cpu"),
        [NamedInput("in.png", source)],
        tmp_path / "general",
        BatchOptions(model="m", seed=5),
    )
    assert outcome.status == "restored"
    own, general = (np.asarray(Image.open(path)) for path in (tmp_path / "own.png", tmp_path / "general" / "in.png"))
    np.testing.assert_array_equal(own, general)


def test_command_traces_every_photo_of_a_folder(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "deep/b.png"):
        photo(tmp_path / "in", name)
    trace = tmp_path / "trace"
    restore(
        [str(tmp_path / "in")],
        load_model=loader(weights),
        output=tmp_path / "out",
        trace=trace,
        samples=2,
        device="cpu",
        json=True,
    )
    files = {path.relative_to(trace).as_posix() for path in trace.rglob("*.*")}
    names = ("steps.csv", "strip.png", "curves.png", "deviation.png")
    assert files == {f"{stem}/{name}" for stem in ("a", "deep/b") for name in names}
    assert {path.name for path in (tmp_path / "out").rglob("*.png")} == {"a.png", "b.png"}
    assert json.loads(capsys.readouterr().out) == {"restored": 2, "failed": 0, "output": str(tmp_path / "out")}


def test_command_goes_on_after_a_run_that_diverges_and_writes_nothing_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(GaussianDiffusionPrior):
        def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
            return noisy * float("nan")

    def load_model(model: str, **settings: Any) -> ZeroAIRRestorer:
        return ZeroAIRRestorer("zeroair", ZeroAIRSettings.model_validate(SHORT), prior=Broken())

    for name in ("a.png", "b.png"):
        photo(tmp_path / "in", name)
    with pytest.raises(typer.Exit) as stopped:
        restore([str(tmp_path / "in")], load_model=load_model, output=tmp_path / "out", device="cpu")
    assert stopped.value.exit_code == 1
    told = capsys.readouterr()
    assert told.err.count("expected a finite estimate from the diffusion model, got NaN") == 2
    assert told.out == f"0 restored, 2 failed -> {tmp_path / 'out'}\n"
    assert not (tmp_path / "out").exists()


def test_command_changes_preset_steps_and_samples(weights: Path, tmp_path: Path) -> None:
    """One pass of the loader's restorer through the options, watched from inside."""
    seen: list[tuple[int, int]] = []

    class Watching(GaussianDiffusionPrior):
        def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
            seen.append((len(noisy), timestep))
            return super().predict(noisy, timestep)

    def load_model(model: str, **settings: Any) -> ZeroAIRRestorer:
        return ZeroAIRRestorer("zeroair", ZeroAIRSettings(), prior=Watching())

    options: dict[str, Any] = {"preset": "gdp", "steps": 3, "samples": 2, "device": "cpu"}
    restore([str(photo(tmp_path))], load_model=load_model, output=tmp_path / "out.png", **options)
    assert seen == [(1, 999), (1, 500), (1, 0)] * 2  # gdp has no auxiliary image


def test_command_refuses_what_it_cannot_do(weights: Path, tmp_path: Path) -> None:
    source = str(photo(tmp_path))
    call: dict[str, Any] = {"load_model": loader(weights), "output": tmp_path / "out.png", "device": "cpu"}
    with pytest.raises(UsageError, match="--model: expected a model of zeroair, got classical:nlm; use: restorekit re"):
        restore([source], model="classical:nlm", **call)
    with pytest.raises(UsageError, match="--prior: expected none beside --model base, got folder; give one of them"):
        restore([source], model="base", prior="folder", **call)
    with pytest.raises(UsageError, match="--set: expected a recipe to change, got --prior; write --model recipe:NAME"):
        restore([source], prior="folder", set_=["config.samples=2"], **call)
    with pytest.raises(UsageError, match=r"expected another place than the input's, got in.png itself"):
        restore([source], **call | {"output": tmp_path / "in.png"})
    with pytest.raises(ModelError, match=r"config.prior: expected a folder in diffusers' layout .* got the file x.pt"):
        restore([source], prior="x.pt", **call)
