"""What ships: float16 weights with a record that the zoo can trust."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from restorekit.core.networks import build_network
from restorekit.core.weights import load_weights, save_weights, verify_weights
from restorekit.errors import ModelError, UsageError
from restorekit.recipe import load_recipe
from restorekit.shipped import LARGEST_BYTES, About, publish, shipped_models
from restorekit.suite import SuiteResult, scores_of
from restorekit.training.supervised import METHOD
from restorekit.zoo import load, model_identity, shipped_weights

ABOUT = About(
    name="tiny",
    summary='a "tiny" one',
    helps=("noise", "haze"),
    licence="Apache-2.0",
    recipe="base/noise",
    data=("photos, CC0-1.0",),
    machine="a slow one",
)
VALUES = {"network": "dense_unet", "network_options": {"widths": [4], "blocks": [1]}}


@pytest.fixture
def run(tmp_path):
    config = METHOD.config.model_validate(VALUES)
    torch.manual_seed(0)
    network = build_network("dense_unet", VALUES["network_options"])
    torch.nn.init.normal_(network.head.weight, std=0.1)
    metadata = {"method": "supervised", "method_config": config.model_dump_json(), **METHOD.metadata(config)}
    path = tmp_path / "weights.safetensors"
    save_weights(path, network.state_dict(), metadata)
    (tmp_path / "log.csv").write_text("step,loss,seconds\n10,0.5,60\n20,0.4,5400.5\n")
    return tmp_path, network


def test_published_weights_are_the_runs_in_float16(run, tmp_path) -> None:
    folder, network = run
    model = publish(folder, tmp_path / "out", ABOUT)
    assert shipped_models(tmp_path / "out") == {"tiny": model}
    verify_weights(model.file(tmp_path / "out"))
    assert (model.steps, model.hours) == (20, 1.5)
    assert model.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert tomllib.loads((tmp_path / "out/tiny.toml").read_text())["summary"] == ABOUT.summary
    for key, tensor in load_weights(tmp_path / "out/tiny.safetensors").items():
        assert tensor.dtype == torch.float16
        assert torch.equal(tensor, network.state_dict()[key].half())


def test_steps_and_hours_of_earlier_stages_count(run, tmp_path) -> None:
    folder, _ = run
    for name, length in {"first": "7,3600", "second": "5,1800"}.items():
        (tmp_path / name).mkdir()
        steps, seconds = length.split(",")
        (tmp_path / name / "log.csv").write_text(f"step,loss,seconds\n{steps},0.5,{seconds}\n")
    model = publish(folder, tmp_path / "out", ABOUT, earlier=[tmp_path / "first", tmp_path / "second"])
    assert (model.steps, model.hours) == (32, 3.0)
    with pytest.raises(ModelError, match=r"third.log.csv: expected the log of a training run"):
        publish(folder, tmp_path / "out", ABOUT, earlier=[tmp_path / "third"])


def test_scores_of_a_bench_go_into_the_record_and_are_shown(run, report_of, tmp_path) -> None:
    folder, _ = run
    reports = {
        "noisy": report_of({"input": [20.0, 22.0], "tiny": [30.0, 31.006]}),
        "clean": report_of({"input": [9.0]}),
    }
    (tmp_path / "result.json").write_text(SuiteResult(title="t", reports=reports).model_dump_json())
    scores = scores_of(tmp_path, ("tiny", "file:elsewhere"))
    assert scores == {"noisy": 30.5}
    publish(folder, tmp_path / "out", ABOUT, scores=scores)
    assert shipped_models(tmp_path / "out")["tiny"].scores == scores
    with pytest.raises(UsageError, match=r"expected psnr\[rgb\|per-image\|u8\|crop0\] of large, got none"):
        scores_of(tmp_path, ("large",))


@pytest.mark.parametrize("model", shipped_models().values(), ids=lambda model: model.name)
def test_notice_says_of_shipped_weights_what_their_records_say(model) -> None:
    notice = (Path(__file__).parents[1] / "NOTICE").read_text(encoding="utf-8")
    assert " ".join(model.notice.split()) in " ".join(notice.split())


def test_published_weights_load_by_themselves(run, tmp_path) -> None:
    folder, network = run
    publish(folder, tmp_path / "out", ABOUT)
    restorer = load(f"file:{tmp_path / 'out/tiny.safetensors'}")
    images = torch.rand(1, 3, 16, 16)
    np.testing.assert_allclose(restorer.restore(images), network(images).detach(), atol=2e-3)


def test_weights_that_cannot_ship_are_refused(run, tmp_path) -> None:
    folder, network = run
    (tmp_path / "plain").mkdir()
    save_weights(tmp_path / "plain/weights.safetensors", network.state_dict())
    with pytest.raises(ModelError, match="got ones that name no method"):
        publish(tmp_path / "plain", tmp_path / "out", ABOUT)
    save_weights(folder / "weights.safetensors", {"huge": torch.full((2,), 1e6)}, {"method": "supervised"})
    with pytest.raises(ModelError, match="within the range of float16, huge leaves it"):
        publish(folder, tmp_path / "out", ABOUT)
    save_weights(
        folder / "weights.safetensors", {"large": torch.zeros(LARGEST_BYTES // 2 + 1)}, {"method": "supervised"}
    )
    with pytest.raises(ModelError, match=f"expected at most {LARGEST_BYTES} bytes"):
        publish(folder, tmp_path / "out", ABOUT)
    assert not (tmp_path / "out").exists()


def test_runs_without_a_log_are_refused(run, tmp_path) -> None:
    folder, _ = run
    (folder / "log.csv").write_text("step,loss\n")
    with pytest.raises(ModelError, match=r"log\.csv: expected the log of a training run"):
        publish(folder, tmp_path / "out", ABOUT)


def test_damaged_records_are_named(tmp_path) -> None:
    (tmp_path / "bad.toml").write_text('name = "bad"\n')
    with pytest.raises(ModelError, match=r"bad\.toml: expected the record of a shipped model"):
        shipped_models(tmp_path)


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_files_are_those_of_their_records(name: str) -> None:
    model = shipped_models()[name]
    verify_weights(model.file())
    assert model.bytes <= LARGEST_BYTES
    assert model.file() in shipped_weights()
    assert model_identity(name) == f"{name} {model.sha256}"
    assert load_recipe(model.recipe).method == model.method
