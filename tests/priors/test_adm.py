"""A checkpoint in guided-diffusion's layout computes the same as a stock ``UNet2DModel`` after conversion."""

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from restorekit.core.networks.loading import put_weights
from restorekit.errors import ModelError
from restorekit.priors.adm import adm_configuration, convert_adm, convert_adm_tensors
from restorekit.priors.pixel_diffusion import load_pixel_diffusion

spec = importlib.util.spec_from_file_location("guided_diffusion", Path(__file__).with_name("guided_diffusion.py"))
assert spec is not None
assert spec.loader is not None
guided_diffusion = importlib.util.module_from_spec(spec)
spec.loader.exec_module(guided_diffusion)

HEAD = 16


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built: dict[str, Tensor] = guided_diffusion.random_state()
        return built


@pytest.fixture(scope="module")
def noisy() -> Tensor:
    return torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def network_of(options: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    from diffusers import UNet2DModel

    network: Any = UNet2DModel(**options)
    put_weights(network, tensors, "test")
    return network.eval()


def test_converted_checkpoint_reproduces_the_official_forward_pass(
    tmp_path: Path, state: dict[str, Tensor], noisy: Tensor
) -> None:
    source = tmp_path / "narrow.pt"
    torch.save(state, source)
    convert_adm(source, tmp_path / "narrow", size_px=16, head_channels=HEAD)
    prior = load_pixel_diffusion(tmp_path / "narrow")
    for timestep in (0, 37, 999):
        expected = guided_diffusion.Forward(state, HEAD)(noisy, timestep)
        # float32 cosines of 999 rad are off by 6e-5, and either code rounds them in its own way
        torch.testing.assert_close(prior.predict(noisy, timestep), expected, atol=5e-4, rtol=0)
    assert (prior.size_px, prior.multiple_of, prior.variance_channels) == (16, 4, True)
    assert prior.scheduler_config["variance_type"] == "learned_range"
    assert hashlib.sha256(source.read_bytes()).hexdigest() in (tmp_path / "narrow" / "README.md").read_text()


def test_attention_rows_in_the_other_order_would_be_wrong(state: dict[str, Tensor], noisy: Tensor) -> None:
    """The trap: a plain split in three fits every shape and computes something else."""
    options = adm_configuration(state, "test", size_px=16, head_channels=HEAD)
    tensors = convert_adm_tensors(state, options)
    for name, tensor in state.items():
        if ".qkv." in name and name.startswith("middle_block"):
            for part, rows in zip("qkv", tensor.squeeze(-1).chunk(3), strict=True):
                tensors[f"mid_block.attentions.0.to_{part}.{name.split('.')[-1]}"] = rows
    with torch.no_grad():
        wrong = network_of(options, tensors)(noisy, 37).sample
    assert float((wrong - guided_diffusion.Forward(state, HEAD)(noisy, 37)).abs().max()) > 0.05


def test_configuration_of_the_published_model_is_read_off_its_shapes() -> None:
    """256x256_diffusion_uncond: 566 tensors and 552 814 086 parameters, 630 tensors in diffusers."""
    from diffusers import UNet2DModel

    with torch.device("meta"):
        state = guided_diffusion.random_state(256, (1, 1, 2, 2, 4, 4), (False,) * 3 + (True,) * 3)
        options = adm_configuration(state, "test")
        network: Any = UNet2DModel(**options)
    tensors = convert_adm_tensors(state, options)
    assert len(state) == 566
    assert len(tensors) == len(network.state_dict()) == 630
    assert sum(tensor.numel() for tensor in tensors.values()) == 552_814_086
    put_weights(network, tensors, "test")
    assert options["block_out_channels"] == [256, 256, 512, 512, 1024, 1024]
    assert options["down_block_types"] == ["ResnetDownsampleBlock2D"] * 3 + ["AttnDownBlock2D"] * 3
    assert options["up_block_types"] == ["AttnUpBlock2D"] * 3 + ["ResnetUpsampleBlock2D"] * 3


def test_half_precision_is_stored_as_such(tmp_path: Path, state: dict[str, Tensor]) -> None:
    from safetensors.torch import load_file

    source = tmp_path / "narrow.pt"
    torch.save(state, source)
    convert_adm(source, tmp_path / "half", size_px=16, head_channels=HEAD, half=True)
    stored = load_file(tmp_path / "half" / "unet" / "diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label_emb.weight": torch.zeros(10, 128)}, "expected an unconditional model, got one with class labels"),
        ({"input_blocks.3.0.op.weight": torch.zeros(1)}, "expected resampling inside residual blocks"),
        ({"middle_block.0.emb_layers.1.weight": torch.zeros(64, 128)}, "expected a scale-shift norm"),
    ],
)
def test_other_architectures_are_refused(state: dict[str, Tensor], change: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        adm_configuration({**state, **change}, "test")


def test_parts_and_strangers_are_refused(state: dict[str, Tensor]) -> None:
    with pytest.raises(ModelError, match=r"expected guided-diffusion's names .* got conv_in.weight"):
        adm_configuration({"conv_in.weight": torch.zeros(1)}, "file.pt")
    part = {name: tensor for name, tensor in state.items() if not name.startswith("input_blocks.1.")}
    with pytest.raises(ModelError, match=r"file\.pt: expected a whole guided-diffusion checkpoint, got a part"):
        adm_configuration(part, "file.pt")
