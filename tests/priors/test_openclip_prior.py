"""open_clip as a prior: its own embeddings to the bit, QuickGELU as trained, native sizes, every layout, refusals."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from restorekit.errors import DependencyError, ModelError
from restorekit.priors.catalogue import load_prior

open_clip: Any = pytest.importorskip("open_clip")

SIDE, PATCH = 32, 8
TEXT = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
VISION = {"image_size": SIDE, "layers": 2, "width": 64, "patch_size": PATCH}
TINY = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}
MEAN, STD = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model in open_clip's registry, the same with QuickGELU, and a file with the weights of both."""
    from safetensors.torch import save_file

    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", TINY)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-quickgelu", {**TINY, "quick_gelu": True})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.create_model("tiny")
    save_file(model.state_dict(), tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def stock(model: str, weights: Path, images: Tensor, size: Any = None) -> Tensor:
    """What open_clip itself says, built for images of ``size``."""
    network = open_clip.create_model(model, pretrained=str(weights), force_image_size=size).eval().requires_grad_(False)
    with torch.no_grad():
        embedded: Tensor = network.encode_image((images - MEAN.view(1, 3, 1, 1)) / STD.view(1, 3, 1, 1))
    return normalize(embedded, dim=1)


def photos(height: int, width: int, batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", ["resize", "native"])
def test_open_clip_at_its_own_size_is_stock_to_the_bit(weights: Path, size: str) -> None:
    images = photos(SIDE, SIDE)
    prior = load_prior(f"open_clip:tiny:{weights}:input={size}")
    assert prior.dim == 24
    assert torch.equal(prior.features(images), stock("tiny", weights, images))


@pytest.mark.parametrize(("height", "width"), [(48, 40), (64, 24), (16, 32)])
def test_native_size_is_open_clip_built_for_that_size(weights: Path, height: int, width: int) -> None:
    """open_clip resizes the position embedding itself when it loads weights into a model for another size."""
    images = photos(height, width)
    prior = load_prior(f"open_clip:tiny:{weights}:input=native")
    torch.testing.assert_close(prior.features(images), stock("tiny", weights, images, (height, width)))


def test_native_size_sees_whole_patches_only(weights: Path) -> None:
    prior = load_prior(f"open_clip:tiny:{weights}:input=native")
    images = photos(45, 39)
    torch.testing.assert_close(prior.features(images), prior.features(images[:, :, :40, :32]))
    assert prior.features(photos(3, 5)).shape == (2, 24)


def test_resized_image_is_pil_bicubic(weights: Path) -> None:
    import numpy as np
    from PIL import Image

    image = photos(61, 97, batch=1)
    planes = [Image.fromarray(plane.numpy()).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for plane in image[0]]
    small = torch.from_numpy(np.stack([np.asarray(plane) for plane in planes]))[None].clamp(0, 1)
    expected = stock("tiny", weights, small)
    torch.testing.assert_close(load_prior(f"open_clip:tiny:{weights}").features(image), expected, atol=1e-4, rtol=0)


def test_map_holds_projected_patch_tokens_row_by_row(weights: Path) -> None:
    images = photos(SIDE, 2 * SIDE)
    grid = load_prior(f"open_clip:tiny:{weights}:input=native").feature_map(images)
    visual = open_clip.create_model("tiny", pretrained=str(weights), force_image_size=(SIDE, 2 * SIDE)).eval().visual
    with torch.no_grad():
        answer = visual.forward_intermediates(
            (images - MEAN.view(1, 3, 1, 1)) / STD.view(1, 3, 1, 1), indices=1, normalize_intermediates=True
        )["image_intermediates"][0]
        expected = normalize(torch.einsum("bchw,cd->bdhw", answer, visual.proj), dim=1)
    torch.testing.assert_close(grid, expected)


def test_tag_trained_with_quick_gelu_is_computed_with_it(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {"mine": {"file": str(weights), "quick_gelu": True}, "other": {"file": str(weights), "quick_gelu": False}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", tags)
    images = photos(SIDE, SIDE)
    quick, plain = stock("tiny-quickgelu", weights, images), stock("tiny", weights, images)
    assert not torch.allclose(quick, plain, atol=1e-5)
    assert torch.equal(load_prior("open_clip:tiny:mine").features(images), quick)
    assert torch.equal(load_prior("open_clip:tiny:other").features(images), plain)


@pytest.mark.parametrize("form", ["open_clip:local-dir:{}", "open_clip:tiny:{}"])
def test_folder_with_its_own_configuration_loads(weights: Path, form: str) -> None:
    """The hub's layout; its configuration says QuickGELU and another mean."""
    folder = weights.parent / "folder"
    folder.mkdir()
    weights.rename(folder / "open_clip_model.safetensors")
    seen = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic", "resize_mode": "shortest"}
    config = {"model_cfg": {**TINY, "quick_gelu": True}, "preprocess_cfg": seen}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    images = photos(SIDE, SIDE)
    as_stock = (2 * images - 1) * STD.view(1, 3, 1, 1) + MEAN.view(1, 3, 1, 1)
    expected = stock("tiny-quickgelu", folder / "open_clip_model.safetensors", as_stock)
    torch.testing.assert_close(load_prior(form.format(folder)).features(images), expected, atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore:.*torch.jit:")  # torch's own, of making the archive
def test_openai_archive_says_its_own_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TorchScript, with QuickGELU and one head per 64 channels, whatever the model is called."""
    config = {**TINY, "text_cfg": {**TEXT, "width": 64, "heads": 1}, "vision_cfg": {**VISION, "head_width": 64}}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "openai", {**config, "quick_gelu": True})
    model, images = open_clip.create_model("openai").eval().requires_grad_(False), photos(SIDE, SIDE)
    model = model.half().float()  # as the archives hold them
    archive = nn.Module()
    for name, tensor in model.state_dict().items():
        *parents, leaf = name.split(".")
        owner = archive
        for parent in parents:
            if parent not in dict(owner.named_children()):
                owner.add_module(parent, nn.Module())
            owner = owner.get_submodule(parent)
        owner.register_parameter(leaf, nn.Parameter(tensor))
    torch.jit.save(torch.jit.script(archive), tmp_path / "archive.pt")
    expected = model.encode_image((images - MEAN.view(1, 3, 1, 1)) / STD.view(1, 3, 1, 1), normalize=True)
    prior = load_prior(f"open_clip:ViT-B-32:{tmp_path / 'archive.pt'}")
    torch.testing.assert_close(prior.features(images), expected)


def test_other_tower_has_features_but_no_map_and_no_native_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import save_file

    vision = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "RN", {**TINY, "vision_cfg": vision})
    save_file(open_clip.create_model("RN").state_dict(), tmp_path / "rn.safetensors")
    images = photos(32, 32)
    text = f"open_clip:RN:{tmp_path / 'rn.safetensors'}"
    assert torch.equal(load_prior(text).features(images), stock("RN", tmp_path / "rn.safetensors", images))
    with pytest.raises(ModelError, match="expected a tower with patch tokens for a feature map, got ModifiedResNet"):
        load_prior(text).feature_map(images)
    with pytest.raises(ModelError, match="expected a vision transformer for input=native, got ModifiedResNet"):
        load_prior(f"{text}:input=native").features(images)


def test_refusals_say_what_to_do(weights: Path) -> None:
    with pytest.raises(ModelError, match=r"expected a model of open_clip, got 'ViT-B32'; did you mean ViT-B-32"):
        _ = load_prior("open_clip:ViT-B32:openai").dim
    with pytest.raises(ModelError, match=r"expected a file or one of openai, .*, got 'opnai'; did you mean openai\?"):
        _ = load_prior("open_clip:ViT-B-32:opnai").dim
    with pytest.raises(DependencyError, match=r"at /no/file, got nothing; check the path in open_clip:MODEL:FILE"):
        _ = load_prior("open_clip:tiny:/no/file").dim
    with pytest.raises(DependencyError, match=r"at /no/folder, got nothing; check the path in open_clip:local-dir:FOL"):
        _ = load_prior("open_clip:local-dir:/no/folder").dim
    weights.write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"tiny.safetensors: expected weights of this model, got SafetensorError"):
        _ = load_prior(f"open_clip:tiny:{weights}").dim
