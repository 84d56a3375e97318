"""Stable Diffusion features: a tiny pipeline in diffusers' layout, against the whole U-Net run by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from restorekit.core.randomness import generator_for
from restorekit.errors import DependencyError, ModelError, SpecError
from restorekit.priors.catalogue import load_prior

diffusers: Any = pytest.importorskip("diffusers")
transformers: Any = pytest.importorskip("transformers")

WIDTHS = (8, 16)
CELL_PX = 4  # the autoencoder halves once, the U-Net once
WORDS = ["<|startoftext|>", "<|endoftext|>", "a", "a</w>"]
TEXT = {"hidden_size": 12, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 4}
TEXT |= {"max_position_embeddings": 7, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}


def unet(**changes: Any) -> Any:
    settings = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": WIDTHS,
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 12,
        "attention_head_dim": 4,
        "norm_num_groups": 4,
    }
    return diffusers.UNet2DConditionModel(**{**settings, **changes})


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """The folder of a pipeline: vae, unet, scheduler, tokenizer, text_encoder."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet().save_pretrained(tmp_path / "unet")
        diffusers.AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
            latent_channels=4,
        ).save_pretrained(tmp_path / "vae")
        transformers.CLIPTextModel(transformers.CLIPTextConfig(**TEXT)).save_pretrained(tmp_path / "text_encoder")
    diffusers.PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    ).save_pretrained(tmp_path / "scheduler")
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(WORDS)}))
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
    (tokenizer / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 7, "pad_token": "<|endoftext|>"})
    )
    return tmp_path


@torch.no_grad()
def by_hand(folder: Path, images: Tensor, timestep: int, module: str) -> Tensor:
    """The answer of one block in a complete run of the U-Net, with the paper's formula for the noisy latent."""
    network = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet").eval()
    vae = diffusers.AutoencoderKL.from_pretrained(folder / "vae").eval()
    encoder = transformers.CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
    prompt = encoder(torch.tensor([[0, 1, 1, 1, 1, 1, 1]])).last_hidden_state  # start, end, padding
    latents = vae.encode(2 * images - 1).latent_dist.mean * vae.config.scaling_factor
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64).square()
    left = float(torch.cumprod(1 - betas, dim=0)[timestep])
    noise = torch.randn(latents.shape[1:], generator=generator_for(0, "stable diffusion prior"))
    noisy = left**0.5 * latents + (1 - left) ** 0.5 * noise
    answers: list[Any] = []
    network.get_submodule(module).register_forward_hook(lambda _m, _i, answer: answers.append(answer))
    network(noisy, timestep, encoder_hidden_states=prompt.expand(len(images), -1, -1))
    features: Tensor = answers[0][0] if isinstance(answers[0], tuple) else answers[0]
    return features


def photos(height: int = 16, width: int = 24) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("layer", "module", "channels", "px"),
    [
        ("mid", "mid_block", 16, 4),
        ("down_0", "down_blocks.0", 8, 4),
        ("down_1", "down_blocks.1", 16, 4),
        ("up_0", "up_blocks.0", 16, 2),
        ("up_1", "up_blocks.1", 8, 2),
    ],
)
def test_features_are_those_of_the_named_block(pipeline: Path, layer: str, module: str, channels: int, px: int) -> None:
    images = photos()
    prior = load_prior(f"sd:{pipeline}:timestep=250,layer={layer}")
    expected = by_hand(pipeline, images, 250, module)
    assert prior.dim == channels
    assert prior.feature_map(images).shape == (2, channels, 16 // px, 24 // px)
    torch.testing.assert_close(prior.feature_map(images), normalize(expected, dim=1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        prior.features(images), normalize(expected.mean(dim=(2, 3)), dim=1), atol=1e-5, rtol=1e-4
    )


def test_blocks_after_the_chosen_one_are_not_computed(pipeline: Path) -> None:
    prior: Any = load_prior(f"sd:{pipeline}")
    asked: list[str] = []
    for name in ("mid_block", "up_blocks.0"):
        prior.network.unet.get_submodule(name).register_forward_pre_hook(lambda *_, name=name: asked.append(name))
    prior.features(photos())
    assert asked == ["mid_block"]


def test_features_do_not_depend_on_batch_or_call(pipeline: Path) -> None:
    prior, images = load_prior(f"sd:{pipeline}"), photos()
    first = prior.features(images)
    assert torch.equal(prior.features(images), first)
    torch.testing.assert_close(prior.features(images[1:]), first[1:])


def test_any_size_and_resized_input(pipeline: Path) -> None:
    prior = load_prior(f"sd:{pipeline}")
    assert torch.equal(prior.features(photos(19, 27)), prior.features(photos(19, 27)[:, :, :16, :24]))
    assert load_prior(f"sd:{pipeline}:input=resize").feature_map(photos()).shape[2:] == (4, 4)  # 16 px, cells of 4


def test_refusals(pipeline: Path) -> None:
    with pytest.raises(ModelError, match=r"layer: expected one of down_0, down_1, mid, up_0, up_1, got 'up_3'"):
        _ = load_prior(f"sd:{pipeline}:layer=up_3").dim
    with pytest.raises(SpecError, match=r"layer: expected .*got 'middle'"):
        load_prior(f"sd:{pipeline}:layer=middle")
    with pytest.raises(SpecError, match="timestep: expected a whole number at least 0 and at most 999, got '1000'"):
        load_prior(f"sd:{pipeline}:timestep=1000")
    with pytest.raises(DependencyError, match="weights at /no/folder, got nothing; check the path in sd:FOLDER"):
        _ = load_prior("sd:/no/folder").dim
    (pipeline / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"expected a network of this kind in .*, got OSError"):
        _ = load_prior(f"sd:{pipeline}").dim


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"addition_embed_type": "text", "addition_embed_type_num_heads": 2},
            "as SDXL does; take Stable Diffusion 1.x",
        ),
        ({"in_channels": 9}, "got 9 channels in and 4 out, as for inpainting; take the base model"),
        ({"cross_attention_dim": 16}, "expected a text encoder of width 16, got 12"),
    ],
)
def test_other_unets_are_refused(pipeline: Path, changes: dict[str, Any], reason: str) -> None:
    unet(**changes).save_pretrained(pipeline / "unet")
    with pytest.raises(ModelError, match=reason):
        _ = load_prior(f"sd:{pipeline}").dim
