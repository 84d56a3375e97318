"""Checkpoints in the authors' layout restore here as their own code does, and what does not fit is refused."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import restorekit
from restorekit.cli.main import app
from restorekit.constyle.convert import convert
from restorekit.errors import ModelError
from restorekit.zoo import load


def loaded(name: str):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


official, official_maxim = loaded("official"), loaded("official_maxim")
SIZES = {"width": 4, "encoder_width": 2}
NETWORKS = {
    "nafnet": lambda w, image: official.unet(w, image, kind="nafnet", **SIZES),
    "restormer": lambda w, image: official.unet(w, image, kind="restormer", **SIZES),
    "conv": lambda w, image: official.unet(w, image, kind="conv", **SIZES),
    "maxim": lambda w, image: official_maxim.maxim(w, image, windows=(4, 4, 2, 2), **SIZES),
}


def checkpoint_of(kind: str):
    """Random weights in the authors' layout with what only their training needs, an image, and what they make of it."""
    torch.manual_seed(0)
    image, weights = torch.rand(1, 3, 32, 48), official.Weights()
    with torch.no_grad():
        restored = NETWORKS[kind](weights, image)
    weights |= {
        name.replace("encoder_q", "encoder_k"): part + 1 for name, part in weights.items() if "encoder_q" in name
    }
    weights |= {"ConStyle.queue": torch.randn(128, 12), "ConStyle.queue_ptr": torch.zeros(1, dtype=torch.long)}
    return dict(weights), image, restored


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("kind", ["nafnet", "restormer", "conv", "maxim"])
def test_converted_checkpoints_restore_as_the_authors_code(kind: str, tmp_path) -> None:
    weights, image, expected = checkpoint_of(kind)
    torch.save({"params": weights, "params_ema": weights}, tmp_path / "net.pth")
    target = tmp_path / "net.safetensors"
    result = call("models", "convert", tmp_path / "net.pth", "-o", target, "--licence", "unknown", "--json")
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert (record["network"], record["licence"], record["notes"]) == ("constyle", "unknown", [])
    assert record["config"]["network"]["unet"]["block"] == kind
    restored = load(f"file:{target}").restore(image)
    assert (expected - image).abs().mean() > 0.05
    torch.testing.assert_close(restored, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_converted_checkpoints_restore_photos(tmp_path) -> None:
    weights, _, _ = checkpoint_of("conv")
    torch.save({"params_ema": weights}, tmp_path / "net.pth")
    assert (
        call("models", "convert", tmp_path / "net.pth", "-o", tmp_path / "n.safetensors", "--licence", "x").exit_code
        == 0
    )
    photo = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)
    model = f"file:{tmp_path / 'n.safetensors'}"
    assert restorekit.restore(photo, model, guard=False).shape == photo.shape  # its weights are random: it runs away


def test_statistics_that_never_moved_are_noted(tmp_path) -> None:
    weights, _, _ = checkpoint_of("conv")
    for head in ("mlp1", "mlp2"):
        weights[f"ConStyle.encoder_q.{head}.1.running_mean"] = torch.zeros(128)
        weights[f"ConStyle.encoder_q.{head}.1.running_var"] = torch.ones(128)
    torch.save({"params_ema": weights}, tmp_path / "net.pth")
    result = call("models", "convert", tmp_path / "net.pth", "-o", tmp_path / "n.safetensors", "--licence", "x")
    assert result.exit_code == 0
    assert "note: " in result.stderr
    assert "running statistics of the encoder's heads were never updated" in result.stderr


def test_dead_and_training_parts_are_left_behind() -> None:
    converted = convert(checkpoint_of("maxim")[0], "net.pth")
    assert {name.partition(".")[0] for name in converted.tensors} == {"encoder", "unet"}
    assert not converted.config.network.unet.unused_gates
    assert converted.config.network.parity == converted.config.contrast.parity == "official"


def test_shapes_say_depths_heads_and_windows() -> None:
    unet = convert(checkpoint_of("restormer")[0], "net.pth").config.network.unet
    assert (unet.encoder_blocks, unet.middle_blocks, unet.decoder_blocks) == ((1, 2, 1), 2, (1, 2, 1))
    assert (unet.heads, unet.refinement_blocks, unet.width, unet.encoder_width) == ((1, 2, 1, 2), 2, 4, 2)
    maxim = convert(checkpoint_of("maxim")[0], "net.pth").config.network.unet
    assert (maxim.windows, maxim.middle_blocks) == ((4, 4, 2, 2), 2)


def test_other_checkpoints_are_left_to_others() -> None:
    assert convert({"intro.weight": torch.zeros(4, 3, 3, 3)}, "net.pth") is None


def test_other_unets_are_refused() -> None:
    encoder = {name: part for name, part in checkpoint_of("conv")[0].items() if name.startswith("ConStyle.")}
    message = r"net\.pth: expected ConStyle around blocks of nafnet, restormer, conv, maxim, got it around others"
    with pytest.raises(ModelError, match=message):
        convert(encoder | {"Process_Module_l1.0.attgamma": torch.zeros(1)}, "net.pth")
    with pytest.raises(ModelError, match="or the encoder alone"):
        convert({name.removeprefix("ConStyle."): part for name, part in encoder.items()}, "net.pth")


@pytest.mark.parametrize(
    ("kind", "gone", "message"),
    [
        ("restormer", "Process_Module_bottom.0.attn.temperature", "around blocks of restormer, got a part"),
        ("nafnet", "Preprocess_Module.0.weight", "around blocks of nafnet, got a part"),
        ("nafnet", "mlp.0.bias", r"1 are missing, the first is unet\.fusion\.scale\.bias"),
        ("maxim", "cross_gating_block_1.Conv_1.weight", r"the first is unet\.gates\.gates\.1\.guide_input\.weight"),
    ],
)
def test_parts_are_refused_by_name(kind: str, gone: str, message: str) -> None:
    weights, _, _ = checkpoint_of(kind)
    with pytest.raises(ModelError, match=message):
        convert({name: part for name, part in weights.items() if name != gone}, "net.pth")


def test_what_is_too_much_is_refused() -> None:
    weights, _, _ = checkpoint_of("nafnet")
    with pytest.raises(ModelError, match=r"1 tensors that are not expected, the first is Extra\.weight"):
        convert(weights | {"Extra.weight": torch.zeros(1)}, "net.pth")
