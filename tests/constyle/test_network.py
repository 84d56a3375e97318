"""Encoder and U-Net together: the published sizes, nothing of training inside, tiled equals whole."""

import numpy as np
import pytest
import torch

from restorekit.constyle.config import PAPER_UNETS, UNetConfig
from restorekit.constyle.network import ConStyleNetworkConfig
from restorekit.constyle.restorer import ConStyleRestorer
from restorekit.core.image.canvas import TensorView
from restorekit.core.image.tiling import TilingOptions, restore_samples
from restorekit.core.networks import count_parameters
from restorekit.core.restorer import GlobalRestorer
from restorekit.core.weights import save_weights

SMALL = UNetConfig(
    block="dense", width=4, encoder_blocks=(1, 1), middle_blocks=1, decoder_blocks=(1, 1), encoder_width=2
)


def small(**changes):
    return ConStyleNetworkConfig(unet=SMALL.model_copy(update=changes))


def awake(config):
    torch.manual_seed(0)
    network = config.build()
    for parameter in network.unet.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.15)
    return network.eval()


@pytest.mark.parametrize(
    ("block", "parameters"), [("nafnet", 12_739_872), ("restormer", 15_574_960), ("conv", 6_782_499)]
)
@pytest.mark.parametrize("parity", ["official", "fixed"])
def test_inference_object_has_the_published_size(block, parameters, parity) -> None:
    config = ConStyleNetworkConfig(unet=PAPER_UNETS[block], parity=parity)
    assert count_parameters(config) == parameters
    with torch.device("meta"):
        names = config.build().state_dict()
    assert {name.split(".")[0] for name in names} == {"encoder", "unet"}
    assert not [name for name in names if "queue" in name or "momentum" in name]


def test_forward_is_encoder_then_unet() -> None:
    network = awake(small())
    images = torch.rand(2, 3, 32, 48)
    style = network.encoder(images)
    torch.testing.assert_close(network(images), network.unet(images, style.code, style.maps))
    assert not torch.allclose(network(images), images, atol=0.01)


def test_without_maps_and_code_there_is_no_encoder() -> None:
    network = awake(small(use_maps=False, use_code=False))
    assert network.encoder is None
    images = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(network(images), network.unet(images))


def test_tone_curve_comes_before_the_unet_and_the_encoder_sees_the_photo_as_it_is() -> None:
    config = small().model_copy(update={"tones": True})
    network = awake(config)
    images = torch.rand(2, 3, 32, 48)
    style = network.encoder(images)
    torch.testing.assert_close(network(images), network.unet(images, style.code, style.maps))  # fresh: no change
    with torch.no_grad():
        network.toner.curves.bias.copy_(torch.tensor([[np.log(2), 0.1, 0.0]] * 3).flatten())
    torch.testing.assert_close(network(images), network.unet(2 * (images - 0.1), style.code, style.maps))


@pytest.mark.parametrize("hears", [False, True])
def test_tone_curve_hears_the_code_where_that_is_asked_for(hears) -> None:
    config = small().model_copy(update={"tones": True, "tones_hear_code": hears})
    network = awake(config)
    torch.nn.init.normal_(network.toner.curves.weight, std=0.1)
    images, codes = torch.rand(1, 3, 32, 48), torch.randn(2, 128)
    first, second = (network.curves_of(images, code[None]) for code in codes)
    assert torch.equal(first, second) != hears
    code = codes[:1].requires_grad_()
    network.curves_of(images, code).sum().backward()
    assert (code.grad is not None) == hears


def test_tone_curve_hears_no_code_where_there_is_none() -> None:
    options = {"tones": True, "tones_hear_code": True}
    network = awake(small(use_code=False).model_copy(update=options))
    assert network.toner.listen is None
    assert awake(small().model_copy(update=options)).toner.listen is not None


@pytest.mark.parametrize("tones", [False, True])
@pytest.mark.parametrize(
    "changes", [{}, {"use_code": False}, {"use_maps": False}, {"use_maps": False, "use_code": False}]
)
def test_tiled_equals_whole(changes, tones) -> None:
    config = small(**changes).model_copy(update={"tones": tones, "tones_hear_code": True})
    restorer = ConStyleRestorer("constyle", config)
    restorer._module = awake(config)
    if tones:
        torch.nn.init.normal_(restorer.module.toner.curves.weight, std=0.1)
    assert isinstance(restorer, GlobalRestorer)
    photo = np.random.default_rng(0).random((170, 213, 3), dtype=np.float32)
    whole = restore_samples(restorer, photo)
    tile_px = 2 * (restorer.spec.halo + 16) + 48
    assert tile_px < 213
    tiled = restore_samples(restorer, photo, TilingOptions(tile_px=tile_px))
    np.testing.assert_allclose(tiled, whole, atol=3e-6 * max(3, np.abs(whole).max()), rtol=0)
    assert np.abs(whole - photo).max() > 0.01


@pytest.mark.parametrize(("height", "width", "tile_px"), [(64, 96, 32), (80, 48, 48), (32, 32, 512)])
def test_surveyed_code_is_that_of_the_whole(height, width, tile_px) -> None:
    restorer = ConStyleRestorer("constyle", small())
    restorer._module = awake(restorer.config)
    images = torch.rand(1, 3, height, width)
    code, curves = restorer.survey(TensorView(images, tile_px=tile_px))
    assert curves is None
    torch.testing.assert_close(code, restorer.module.encoder.code_of(images), atol=1e-6, rtol=1e-4)


def test_loaded_network_is_folded_and_equal(tmp_path) -> None:
    config = ConStyleNetworkConfig(
        unet=UNetConfig(width=8, encoder_blocks=(0, 0, 0), middle_blocks=0, decoder_blocks=(0, 0, 0))
    )
    network = awake(config)
    save_weights(tmp_path / "w.safetensors", network.state_dict())
    restorer = ConStyleRestorer("constyle", config, tmp_path / "w.safetensors")
    images = torch.rand(1, 3, 32, 32)
    expected = network(images).detach()
    torch.testing.assert_close(restorer.restore(images), expected, atol=1e-5 * float(expected.abs().max()), rtol=0)
    assert "MergedUp" in {type(module).__name__ for module in restorer.module.modules()}
