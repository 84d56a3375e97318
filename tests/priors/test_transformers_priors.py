"""CLIP, BLIP and BLIP-2 through transformers: saved in their own layout, loaded as priors, equal to the library's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from restorekit.errors import DependencyError, ModelError
from restorekit.priors.catalogue import load_prior

transformers: Any = pytest.importorskip("transformers")

SIDE, PATCH = 32, 8
MEAN, STD = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
WORDS = {"vocab_size": 64, "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
VISION = {**SMALL, "hidden_size": 24, "image_size": SIDE, "patch_size": PATCH}
TEXT = {**SMALL, **WORDS}
QFORMER = {**SMALL, "vocab_size": 64, "encoder_hidden_size": 24, "cross_attention_frequency": 1}
OPT = {"model_type": "opt", "vocab_size": 64, "hidden_size": 16, "ffn_dim": 16, "num_hidden_layers": 1}
OPT |= {"num_attention_heads": 2, "word_embed_proj_dim": 16, "max_position_embeddings": 16}


def clip() -> Any:
    return transformers.CLIPModel(transformers.CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=12))


def blip(kind: str = "BlipForImageTextRetrieval") -> Any:
    return getattr(transformers, kind)(transformers.BlipConfig(text_config=TEXT, vision_config=VISION))


def blip2(kind: str = "Blip2ForImageTextRetrieval") -> Any:
    config = transformers.Blip2Config(
        vision_config=VISION, qformer_config=QFORMER, text_config=OPT, num_query_tokens=4, image_text_hidden_size=8
    )
    return getattr(transformers, kind)(config)


def saved(make: Callable[[], Any], folder: Path) -> Any:
    """A network with fresh weights, none of them zero as BLIP-2's queries are, and its folder."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().eval().requires_grad_(False)
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    model.save_pretrained(folder)
    return model


def prepared(images: Tensor) -> Tensor:
    return (images - MEAN.view(1, 3, 1, 1)) / STD.view(1, 3, 1, 1)


def photos(height: int = SIDE, width: int = SIDE) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("height", "width", "size"), [(SIDE, SIDE, "resize"), (SIDE, SIDE, "native"), (48, 24, "native")]
)
def test_clip_is_transformers_image_embedding(tmp_path: Path, height: int, width: int, size: str) -> None:
    model = saved(clip, tmp_path)
    prior, images = load_prior(f"clip:{tmp_path}:input={size}"), photos(height, width)
    seen = model.vision_model(pixel_values=prepared(images), interpolate_pos_encoding=True)
    expected = normalize(model.visual_projection(seen.pooler_output), dim=1)
    assert prior.dim == 12
    assert torch.equal(prior.features(images), expected)
    tokens = model.visual_projection(model.vision_model.post_layernorm(seen.last_hidden_state[:, 1:]))
    grid = prior.feature_map(images)
    assert grid.shape == (2, 12, height // PATCH, width // PATCH)
    torch.testing.assert_close(grid[:, :, 0, 1], normalize(tokens[:, 1], dim=1))
    torch.testing.assert_close(grid[:, :, 1, 0], normalize(tokens[:, width // PATCH], dim=1))


@pytest.mark.parametrize(
    "kind", ["BlipForImageTextRetrieval", "BlipForConditionalGeneration", "BlipForQuestionAnswering"]
)
def test_blip_is_the_class_token_of_its_image_tower(tmp_path: Path, kind: str) -> None:
    model = saved(lambda: blip(kind), tmp_path)
    prior, images = load_prior(f"blip:{tmp_path}"), photos()
    tokens = model.vision_model(pixel_values=prepared(images)).last_hidden_state
    assert prior.dim == 24
    torch.testing.assert_close(prior.features(images), normalize(tokens[:, 0], dim=1))
    torch.testing.assert_close(prior.feature_map(images)[:, :, 1, 2], normalize(tokens[:, 1 + 4 + 2], dim=1))


@pytest.mark.parametrize("kind", ["Blip2ForImageTextRetrieval", "Blip2ForConditionalGeneration", "Blip2Model"])
def test_blip2_is_the_mean_answer_of_its_queries(tmp_path: Path, kind: str) -> None:
    model = saved(lambda: blip2(kind), tmp_path)
    prior, images = load_prior(f"blip2:{tmp_path}:input=native"), photos(40, 24)
    seen = model.vision_model(pixel_values=prepared(images), interpolate_pos_encoding=True).last_hidden_state
    queries = model.qformer(query_embeds=model.query_tokens.expand(2, -1, -1), encoder_hidden_states=seen)
    assert prior.dim == 16
    torch.testing.assert_close(prior.features(images), normalize(queries.last_hidden_state.mean(dim=1), dim=1))
    assert prior.feature_map(images).shape == (2, 24, 5, 3)


def test_clip_tower_saved_alone_loads(tmp_path: Path) -> None:
    config = transformers.CLIPVisionConfig(**VISION, projection_dim=12)
    model = saved(lambda: transformers.CLIPVisionModelWithProjection(config), tmp_path)
    expected = normalize(model(pixel_values=prepared(photos())).image_embeds, dim=1)
    torch.testing.assert_close(load_prior(f"clip:{tmp_path}").features(photos()), expected)


def test_blip2_does_not_load_the_language_model(tmp_path: Path) -> None:
    saved(lambda: blip2("Blip2ForConditionalGeneration"), tmp_path)
    prior: Any = load_prior(f"blip2:{tmp_path}")
    assert not [name for name, _ in prior.network.named_parameters() if "language" in name]


@pytest.mark.parametrize(("source", "make"), [("clip", blip), ("blip", clip), ("blip2", clip)])
def test_folder_of_another_architecture_is_refused(tmp_path: Path, source: str, make: Callable[[], Any]) -> None:
    saved(make, tmp_path)
    with pytest.raises(ModelError, match=f"expected a .*{source.upper() if source == 'blip' else source[:4]}.*, got "):
        _ = load_prior(f"{source}:{tmp_path}").dim


@pytest.mark.parametrize(
    "change", [{}, {"visual_projection.weight": torch.zeros(3, 24)}], ids=["missing", "other shape"]
)
def test_weights_that_cannot_be_read_are_refused_not_drawn(tmp_path: Path, change: dict[str, Tensor]) -> None:
    from safetensors.torch import load_file, save_file

    saved(clip, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["visual_projection.weight"]
    save_file(tensors | change, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"1 are missing or of another shape, the first is visual_projection\.weight"):
        _ = load_prior(f"clip:{tmp_path}").dim


def test_folder_without_weights_and_absent_folder_say_so(tmp_path: Path) -> None:
    with pytest.raises(
        DependencyError, match="weights at /no/folder, got nothing; check the path in clip:FOLDER, or cho"
    ):
        _ = load_prior("clip:/no/folder").dim
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    with pytest.raises(ModelError, match=r"expected a network of this kind in .*, got OSError: .*no file named"):
        _ = load_prior(f"clip:{tmp_path}").dim


def test_weights_in_half_precision_become_float32(tmp_path: Path) -> None:
    saved(lambda: clip().half(), tmp_path)
    prior: Any = load_prior(f"clip:{tmp_path}")
    assert {parameter.dtype for parameter in prior.network.parameters()} == {torch.float32}
    assert prior.features(photos()).dtype == torch.float32
