"""Checkpoints in the authors' layout restore here as their own code does, and what does not fit is refused."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from typer.testing import CliRunner

from restorekit.cli.main import app
from restorekit.core.weights import load_metadata
from restorekit.errors import ModelError
from restorekit.refine import METHOD
from restorekit.refine.convert import convert

spec = importlib.util.spec_from_file_location("official", Path(__file__).with_name("official.py"))
official = importlib.util.module_from_spec(spec)
spec.loader.exec_module(official)

DIM = 10


class FixedPrior:
    """Stands for CLIP: one vector for every photo."""

    name, dim = "fixed", DIM

    def __init__(self, vector):
        self.vector = vector

    def to(self, device, precision="float32"):
        return self

    def features(self, images):
        return self.vector.expand(len(images), -1)

    def feature_map(self, images):
        return self.features(images)[:, :, None, None]


class Parts:
    """Knows CLIP's name alone."""

    def __init__(self, vector):
        self.vector = vector
        self.asked = []

    def restorer(self, name):
        raise AssertionError("the base lies in the file")

    def prior(self, name, tensors=None):
        self.asked.append((name, tensors))
        return FixedPrior(self.vector)


@pytest.fixture
def checkpoint(released):
    """Random weights in the authors' layout, an image, CLIP's vector, and what their code makes of them."""
    torch.manual_seed(0)
    image, vector, weights = torch.rand(1, 3, 32, 48), F.normalize(torch.randn(1, DIM)), official.Weights()
    module = released.shaken(released.Released(prior_dim=DIM))
    with torch.no_grad():
        restored = official.snr_aware(weights, image)
        expected = module(restored, image, vector)
    return dict(weights) | official.module_in_their_names(module), image, vector, expected


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_converted_checkpoint_restores_as_the_authors_code(checkpoint, tmp_path) -> None:
    weights, image, vector, expected = checkpoint
    torch.save({f"module.{name}": weight for name, weight in weights.items()}, tmp_path / "200000_G.pth")
    target = tmp_path / "net.safetensors"
    result = call("models", "convert", tmp_path / "200000_G.pth", "-o", target, "--licence", "unknown", "--json")
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert (record["network"], record["licence"]) == ("refine", "unknown")
    assert record["parameters"] == sum(weight.numel() for weight in weights.values())
    assert "show CLIP whole photos at their own size" in result.stderr
    parts = Parts(vector)
    config = METHOD.config.model_validate_json(load_metadata(target)["method_config"])
    restorer = METHOD.given(parts).restorer(config.model_copy(update={"weights": str(target)}))
    assert parts.asked == [("open_clip:ViT-B-32:openai:input=native", None)]
    assert (expected - image).abs().mean() > 0.05
    torch.testing.assert_close(restorer.restore(image), expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


def test_shapes_say_widths_depths_and_the_length_of_the_prior(checkpoint) -> None:
    config = convert(checkpoint[0], "net.pth").config
    assert config.base_options == {
        "width": 2, "blocks": [1, 2, 1], "layers": 2, "heads": 8, "head_width": 3, "feedforward_width": 64,
        "channels": 3,
    }  # fmt: skip
    assert (config.module.prior_dim, config.module.width) == (DIM, 16)
    assert (config.module.compose, config.module.parity) == ("residual", "official")
    assert not config.joint
    assert config.embed_base


def test_other_checkpoints_are_left_to_others(checkpoint) -> None:
    base = {name: weight for name, weight in checkpoint[0].items() if not name.startswith("refinement11.")}
    assert convert(base, "net.pth") is None


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("refinement11.r2norm.bias", r"1 are missing, the first is encoder\.half_norm\.bias"),
        ("refinement11.r1.weight", r"got a part: 'r1\.weight'"),
        ("recon_trunk.0.conv2.bias", r"1 are missing, the first is after\.0\.second\.bias"),
        ("transformer.layer_stack.1.slf_attn.w_ks.weight", r"got a part: .*layer_stack\.1\.slf_attn\.w_ks\.weight"),
    ],
)
def test_parts_are_refused_by_name(checkpoint, gone: str, message: str) -> None:
    weights = {name: weight for name, weight in checkpoint[0].items() if name != gone}
    with pytest.raises(ModelError, match=rf"^net\.pth: expected .*{message}"):
        convert(weights, "net.pth")


def test_another_shape_is_refused_by_name(checkpoint) -> None:
    weights = checkpoint[0] | {"refinement11.mapp1.weight": torch.zeros(2, 16, 3, 3)}
    message = r"expected attention\.spatial\.score\.weight of shape \(1, 16, 3, 3\), got \(2, 16, 3, 3\)"
    with pytest.raises(ModelError, match=message):
        convert(weights, "net.pth")


def test_what_is_too_much_is_refused(checkpoint) -> None:
    with pytest.raises(ModelError, match=r"1 tensors that are not expected, the first is extra\.weight"):
        convert(checkpoint[0] | {"extra.weight": torch.zeros(1)}, "net.pth")


def test_other_bases_are_refused(checkpoint) -> None:
    module = {name: weight for name, weight in checkpoint[0].items() if name.startswith("refinement11.")}
    with pytest.raises(ModelError, match=r"around SNR-Aware, as released, got it around another network \(intro"):
        convert({"intro.weight": torch.zeros(1)} | module, "net.pth")
    with pytest.raises(ModelError, match=r"another network \(none at all"):
        convert(module, "net.pth")
