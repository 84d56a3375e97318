"""timm's models as priors: their own pooled features, from files and folders in timm's layouts, at several sizes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from restorekit.errors import DependencyError, ModelError
from restorekit.priors.catalogue import load_prior

timm: Any = pytest.importorskip("timm")


def saved(model: str, path: Path) -> Any:
    """A model with its classifier and fresh weights, and their file."""
    from safetensors.torch import save_file

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model(model, pretrained=False, num_classes=10).eval().requires_grad_(False)
    save_file(network.state_dict(), path)
    return network


def photos(height: int, width: int) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def prepared(images: Tensor, network: Any) -> Tensor:
    config = network.pretrained_cfg
    mean, std = torch.tensor(config["mean"]).view(1, 3, 1, 1), torch.tensor(config["std"]).view(1, 3, 1, 1)
    return (images - mean) / std


@pytest.mark.parametrize("model", ["mobilenetv2_035", "test_resnet", "test_convnext", "lcnet_035", "test_mambaout"])
def test_features_are_what_the_classifier_reads(tmp_path: Path, model: str) -> None:
    """lcnet has a layer between pooling and classifier; mambaout keeps its channels last."""
    network = saved(model, tmp_path / "weights.safetensors")
    prior, images = load_prior(f"timm:{model}:{tmp_path / 'weights.safetensors'}:input=native"), photos(96, 64)
    features = network.forward_features(prepared(images, network))
    vectors = normalize(network.forward_head(features, pre_logits=True), dim=1)
    assert prior.dim == vectors.shape[1]
    torch.testing.assert_close(prior.features(images), vectors)
    planes = features.movedim(-1, 1) if model == "test_mambaout" else features
    assert planes.shape[2:] == (3, 2)
    torch.testing.assert_close(prior.feature_map(images), normalize(planes, dim=1))


@pytest.mark.parametrize("size", ["resize", "native"])
def test_vision_transformer_is_stock_at_its_own_size(tmp_path: Path, size: str) -> None:
    network = saved("test_vit", tmp_path / "weights.safetensors")
    side = network.pretrained_cfg["input_size"][1]
    prior, images = load_prior(f"timm:test_vit:{tmp_path / 'weights.safetensors'}:input={size}"), photos(side, side)
    tokens = network.forward_features(prepared(images, network))
    expected = normalize(network.forward_head(tokens, pre_logits=True), dim=1)
    torch.testing.assert_close(prior.features(images), expected)
    rows = side // 16
    patches = normalize(tokens[:, -(rows**2) :], dim=2)
    torch.testing.assert_close(prior.feature_map(images)[:, :, 2, 1], patches[:, 2 * rows + 1])


def test_vision_transformer_takes_native_sizes(tmp_path: Path) -> None:
    saved("test_vit", tmp_path / "weights.safetensors")
    prior = load_prior(f"timm:test_vit:{tmp_path / 'weights.safetensors'}:input=native")
    assert prior.features(photos(48, 64)).shape == (2, prior.dim)
    assert prior.feature_map(photos(50, 70)).shape == (2, prior.dim, 3, 4)


def test_model_of_fixed_size_refuses_native(tmp_path: Path) -> None:
    saved("test_maxvit", tmp_path / "weights.safetensors")
    with pytest.raises(
        ModelError, match="expected a model for images of any size, got one of fixed size; leave input="
    ):
        _ = load_prior(f"timm:test_maxvit:{tmp_path / 'weights.safetensors'}:input=native").dim


def test_folder_in_the_hubs_layout_loads(tmp_path: Path) -> None:
    network = saved("test_resnet", tmp_path / "model.safetensors")
    seen = {**network.pretrained_cfg, "num_classes": 10, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    config = {"architecture": "test_resnet", "num_classes": 10, "pretrained_cfg": seen}
    (tmp_path / "config.json").write_text(json.dumps(config))
    images = photos(64, 64)
    expected = network.forward_head(network.forward_features(2 * images - 1), pre_logits=True)
    prior = load_prior(f"timm:local-dir:{tmp_path}:input=native")
    torch.testing.assert_close(prior.features(images), normalize(expected, dim=1))


def test_refusals_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected a model of timm, got 'mobilenetv2'; did you mean mobilenetv2_"):
        _ = load_prior("timm:mobilenetv2").dim
    with pytest.raises(
        DependencyError, match="weights at /no/file, got nothing; check the path in timm:MODEL:FILE, or"
    ):
        _ = load_prior("timm:test_resnet:/no/file").dim
    with pytest.raises(
        DependencyError, match="weights at /no/folder, got nothing; check the path in timm:local-dir:FOL"
    ):
        _ = load_prior("timm:local-dir:/no/folder").dim
    with pytest.raises(
        ModelError, match=r"expected a model with published weights, timm knows none; pass a file as timm"
    ):
        _ = load_prior("timm:mixer_s32_224").dim
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="expected a folder as timm saves it, got "):
        _ = load_prior(f"timm:local-dir:{tmp_path}").dim
    path = tmp_path / "weights.safetensors"
    saved("test_vit", path)
    with pytest.raises(ModelError, match=rf"timm:test_resnet:{path}: .*tensors, \d+ are missing"):
        _ = load_prior(f"timm:test_resnet:{path}").dim
    path.write_bytes(b"nothing")
    with pytest.raises(ModelError, match="expected a file of weights, got SafetensorError"):
        _ = load_prior(f"timm:test_resnet:{path}").dim
