"""The conditioned U-Nets have the paper's sizes, follow its figure, and hear of the degradation only what is named."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from restorekit.constyle.config import PAPER_UNETS, UNetConfig
from restorekit.constyle.encoder import ConStyleEncoder
from restorekit.core.image.tiling import restore_samples
from restorekit.core.networks import NetworkRestorer, configure, count_macs, count_parameters
from restorekit.errors import UsageError

ENCODER = 1_190_832  # parameters of the published encoder, counted in its own test
TINY = {"width": 4, "encoder_blocks": (1, 1, 1), "middle_blocks": 1, "decoder_blocks": (1, 1, 1)}
BLOCKS = ("nafnet", "restormer", "conv", "dense")


def style_of(images, *, width=16):
    """A code and maps of the encoder's shapes, without an encoder."""
    batch, _, height, side = images.shape
    maps = tuple(
        torch.randn(batch, width * 2**i, height >> i, side >> i, dtype=images.dtype, device=images.device)
        for i in (1, 2, 3)
    )
    return torch.randn(batch, 128, dtype=images.dtype, device=images.device), maps


def randomised(network):
    """Every weight drawn, so that no block is the identity."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.15)
    return network.eval()


def macs_128(config):
    with torch.device("meta"):
        images = torch.empty(1, 3, 128, 128)
        network, style = config.build().eval(), style_of(images)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(images, *style)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("block", "whole", "giga_macs"),
    [("nafnet", 12_739_872, 23.457), ("restormer", 15_574_960, 41.110), ("conv", 6_782_499, 12.938)],
)
def test_unet_has_the_size_of_the_authors_network(block, whole, giga_macs) -> None:
    """Measured on the authors' code; theirs multiplies twice as much at the bottleneck's fusion: 12 C² at 16 x 16."""
    config = PAPER_UNETS[block]
    assert count_parameters(config) + ENCODER == whole
    saved = 12 * config.width**2 * 16**2
    assert (macs_128(config) + saved) / 1e9 == pytest.approx(giga_macs, abs=0.0005)


@pytest.mark.parametrize(
    ("network", "options", "parameters", "giga_macs"),
    [
        (
            "nafnet",
            {"width": 64, "encoder_blocks": (5, 6, 7, 7), "middle_blocks": 7, "decoder_blocks": (7, 7, 6, 5)},
            87_404_483,
            24.540,
        ),
        ("restormer", {}, 26_126_644, 38.721),
    ],
)
def test_originals_have_the_size_that_the_authors_compare_with(network, options, parameters, giga_macs) -> None:
    """The authors count decoder levels from the coarsest (5,6,7,7), we from the finest."""
    config = configure(network, options)
    assert count_parameters(config) == parameters
    assert count_macs(config, height_px=128, width_px=128) / 1e9 == pytest.approx(giga_macs, abs=0.0005)


def test_unet_computes_what_the_figure_shows() -> None:
    """The whole skeleton again, from the paper, with plain functions and nothing folded."""
    config = UNetConfig(block="conv", **TINY)
    network = randomised(config.build()).double()
    images = torch.rand(2, 3, 16, 24, dtype=torch.float64)
    code, maps = style_of(images)
    weights = network.state_dict()

    def conv(x, name, slope=None):
        kernel = weights[f"{name}.weight"]
        x = F.conv2d(x, kernel, padding=kernel.shape[-1] // 2)
        return x if slope is None else F.prelu(x, weights[f"{slope}.weight"])

    def block(x, name):
        inner = conv(x, f"{name}.0.layers.0", f"{name}.0.layers.1")
        return x + conv(inner, f"{name}.0.layers.2", f"{name}.0.layers.3")

    x, skips = conv(images, "stem.0", "stem.1"), []
    for level in range(3):
        skips.append(block(x, f"encoder.{level}"))
        down = F.pixel_unshuffle(conv(skips[-1], f"downs.{level}.reduce"), 2)
        style = conv(maps[level], f"downs.{level}.project.0", f"downs.{level}.project.1")
        x = torch.cat([down, style], dim=1)
    x = block(x, "middle")
    scale = F.linear(code, weights["fusion.scale.weight"], weights["fusion.scale.bias"])[:, :, None, None]
    x = conv(torch.cat([x, x * scale], dim=1), "fusion.fuse")
    for level in (2, 1, 0):
        up = F.pixel_shuffle(conv(x, f"ups.{level}.expand"), 2)
        x = block(conv(torch.cat([up, skips[level]], dim=1), f"ups.{level}.join"), f"decoder.{level}")
    expected = images + conv(conv(x, "head.0.0", "head.0.1"), "head.1", "head.2")
    assert (network(images, code, maps) - expected).abs().max() < 1e-12
    assert (expected - images).abs().max() > 0.01


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(
    "shape",
    [
        TINY | {"heads": (1, 2, 4, 4)},
        {"width": 8, "encoder_blocks": (0,), "middle_blocks": 0, "decoder_blocks": (2,), "heads": (2, 4)},
        TINY | {"input_stride": 2, "refinement_blocks": 1, "heads": (1, 2, 4, 4)},
        {"width": 4, "encoder_blocks": (1,) * 4, "decoder_blocks": (1,) * 4, "heads": (1,) * 5, "middle_blocks": 1},
    ],
    ids=["three levels", "one level", "stride two", "deeper than the maps"],
)
def test_unet_keeps_the_shape_and_has_no_dead_parameter(block, shape) -> None:
    config = UNetConfig(block=block, **shape)
    network = randomised(config.build())
    images = torch.rand(2, 3, 2 * config.multiple_of, config.multiple_of)
    restored = network(images, *style_of(images))
    assert restored.shape == images.shape
    restored.square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_switches_change_only_the_weights_they_name() -> None:
    def shapes(**switches):
        return {name: p.shape for name, p in UNetConfig(**TINY, **switches).build().state_dict().items()}

    both = shapes()
    assert len(both) > 100
    for switches, named in [
        ({"use_maps": False}, {"downs."}),
        ({"use_code": False}, {"fusion."}),
        ({"use_maps": False, "use_code": False}, {"downs.", "fusion."}),
    ]:
        changed = {name for name, _ in both.items() ^ shapes(**switches).items()}
        assert {f"{name.split('.')[0]}." for name in changed} == named


@pytest.mark.parametrize(("use_maps", "use_code"), [(True, True), (True, False), (False, True), (False, False)])
def test_switches_decide_what_the_result_depends_on(use_maps, use_code) -> None:
    network = randomised(UNetConfig(block="dense", **TINY, use_maps=use_maps, use_code=use_code).build())
    images = torch.rand(1, 3, 16, 16)
    code, maps = style_of(images)
    reference = network(images, code, maps)
    other_code, other_maps = style_of(images)
    assert torch.equal(network(images, other_code, maps), reference) != use_code
    for index in range(3):
        changed = tuple(other_maps[i] if i == index else maps[i] for i in range(3))
        assert torch.equal(network(images, code, changed), reference) != use_maps


def test_unet_says_what_is_missing() -> None:
    network = UNetConfig(block="dense", **TINY).build()
    images = torch.rand(1, 3, 16, 16)
    code, maps = style_of(images)
    with pytest.raises(UsageError, match=r"maps: expected the encoder's maps, got None; .* use_maps = false"):
        network(images, code)
    with pytest.raises(UsageError, match=r"code: expected the encoder's code, got None; .* use_code = false"):
        network(images, None, maps)


def test_zeroed_projections_silence_code_and_maps() -> None:
    network = randomised(UNetConfig(**TINY).build())
    images = torch.rand(1, 3, 16, 16)
    assert not torch.equal(network(images, *style_of(images)), network(images, *style_of(images)))
    with torch.no_grad():
        network.fusion.scale.weight.zero_()
        for down in network.downs:
            down.project[0].weight.zero_()
    assert torch.equal(network(images, *style_of(images)), network(images, *style_of(images)))


def test_fresh_nafnet_unet_is_affine_in_the_images() -> None:
    """Its blocks start as the identity and nothing else is nonlinear, given code and maps."""
    network = UNetConfig(**TINY).build().double()
    first, second = torch.rand(2, 1, 3, 16, 16, dtype=torch.float64)
    style = style_of(first)
    between = network(0.3 * first + 0.7 * second, *style)
    expected = 0.3 * network(first, *style) + 0.7 * network(second, *style)
    torch.testing.assert_close(between, expected, rtol=0, atol=1e-12)
    with torch.no_grad():
        network.middle[0].beta.fill_(1)
    assert (network(0.3 * first + 0.7 * second, *style) - expected).abs().max() > 1e-6


@pytest.mark.parametrize("stride", [1, 2])
def test_fresh_dense_unet_returns_its_input(stride) -> None:
    images = torch.rand(2, 3, 16, 32)
    network = UNetConfig(block="dense", input_stride=stride, **TINY).build()
    assert torch.equal(network(images, *style_of(images)), images)


@pytest.mark.parametrize("block", BLOCKS)
def test_unet_runs_in_bfloat16_with_channels_last(block) -> None:
    torch.manual_seed(0)
    network = UNetConfig(block=block, **TINY | {"heads": (1, 1, 1, 1)}).build()
    images = torch.rand(2, 3, 16, 16)
    style = style_of(images)
    expected = network(images, *style)
    network = network.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        restored = network(images.contiguous(memory_format=torch.channels_last), *style)
    torch.testing.assert_close(restored.float(), expected, atol=0.05, rtol=0)
    restored.float().sum().backward()
    assert network.stem[0].weight.grad is not None


def test_plain_unet_restores_photos_of_any_size() -> None:
    config = UNetConfig(block="dense", **TINY, use_maps=False, use_code=False)
    restorer = NetworkRestorer("plain", config)
    randomised(restorer.module)
    for height, width in [(65, 63), (97, 130)]:
        photo = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)
        restored = restore_samples(restorer, photo)
        assert restored.shape == photo.shape
        assert np.abs(restored - photo).max() > 0.01


@pytest.mark.parametrize("stride", [1, 2])
def test_code_of_the_whole_makes_tiled_equal_whole(stride) -> None:
    config = UNetConfig(block="conv", **TINY, input_stride=stride, encoder_width=4)
    network, encoder = randomised(config.build()), ConStyleEncoder(width=4).eval()
    halo, core = -(-config.receptive_field_px // 16) * 16, 32
    images = torch.rand(1, 3, 16, core + 2 * halo + 96)
    with torch.no_grad():
        style = encoder(images)
        whole = network(images, style.code, style.maps)
        tile = images[..., 48 : 48 + core + 2 * halo]
        restored = network(tile, style.code, encoder.feature_maps(tile))
    middle = slice(48 + halo, 48 + halo + core)
    torch.testing.assert_close(restored[..., halo : halo + core], whole[..., middle], rtol=0, atol=1e-5)
    assert (network(tile, encoder(tile).code, encoder(tile).maps) - restored).abs().max() > 1e-4
