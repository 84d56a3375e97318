"""ConStyle-MAXIM has the authors' size, without their dead parameters, and hears only what is named."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from restorekit.constyle.config import PAPER_UNETS, AnyUNetConfig, MaximUNetConfig, UNetConfig
from restorekit.core.networks import count_parameters
from restorekit.errors import UsageError

ENCODER = 1_190_832
DEAD = 1_529_088
TINY = {"width": 4, "windows": (4, 2, 2, 1), "groups": 1, "middle_blocks": 1}


def style_of(images):
    batch, _, height, width = images.shape
    maps = tuple(torch.randn(batch, 16 * 2**i, height >> i, width >> i, device=images.device) for i in (1, 2, 3))
    return torch.randn(batch, 128, device=images.device), maps


def test_maxim_has_the_size_of_the_authors_network() -> None:
    assert count_parameters(PAPER_UNETS["maxim"]) + DEAD + ENCODER == 8_101_664
    assert count_parameters(MaximUNetConfig(unused_gates=True)) + ENCODER == 8_101_664
    assert PAPER_UNETS["maxim"].multiple_of == 64


def test_maxim_multiplies_as_often_as_the_authors_network() -> None:
    """Theirs multiplies twice as much at the bottleneck's fusion: 12 C² at 16 x 16."""
    with torch.device("meta"):
        images = torch.empty(1, 3, 128, 128)
        network, style = PAPER_UNETS["maxim"].build(), style_of(images)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(images, *style)
    whole = counter.get_total_flops() // 2 + 12 * 32**2 * 16**2
    assert whole / 1e9 == pytest.approx(12.718, abs=0.0005)


@pytest.mark.parametrize("windows", [(4, 2, 2, 1), (2, 3), (2, 2, 1, 1, 1)])
def test_maxim_keeps_the_shape_and_has_no_dead_parameter(windows) -> None:
    torch.manual_seed(0)
    config = MaximUNetConfig(**TINY | {"windows": windows})
    network = config.build()
    size = config.multiple_of * -(-16 // config.multiple_of)
    images = torch.rand(2, 3, size, 2 * size)
    restored = network(images, *style_of(images))
    assert restored.shape == images.shape
    restored.square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_unused_gates_get_no_gradient_and_change_nothing() -> None:
    lean, official = MaximUNetConfig(**TINY).build(), MaximUNetConfig(**TINY, unused_gates=True).build()
    official.load_state_dict(lean.state_dict(), strict=False)
    images = torch.rand(1, 3, 16, 16)
    style = style_of(images)
    assert torch.equal(official(images, *style), lean(images, *style))
    official(images, *style).sum().backward()
    dead = {name.split(".")[0] for name, parameter in official.named_parameters() if parameter.grad is None}
    assert dead == {"unused"}


def test_switches_decide_what_the_result_depends_on() -> None:
    images = torch.rand(1, 3, 16, 16)
    code, maps = style_of(images)
    other_code, other_maps = style_of(images)
    for use_maps, use_code in [(True, True), (True, False), (False, True), (False, False)]:
        network = MaximUNetConfig(**TINY, use_maps=use_maps, use_code=use_code).build()
        reference = network(images, code, maps)
        assert torch.equal(network(images, other_code, maps), reference) != use_code
        assert torch.equal(network(images, code, other_maps), reference) != use_maps


def test_switches_change_only_the_weights_they_name() -> None:
    def shapes(**switches):
        return {name: p.shape for name, p in MaximUNetConfig(**TINY, **switches).build().state_dict().items()}

    both, plain = shapes(), shapes(use_maps=False, use_code=False)
    assert {name.split(".")[0] for name, _ in both.items() ^ plain.items()} == {"downs", "fusion"}


def test_maxim_says_what_is_missing() -> None:
    network = MaximUNetConfig(**TINY).build()
    with pytest.raises(UsageError, match="maps: expected the encoder's maps, got None"):
        network(torch.rand(1, 3, 16, 16))


def test_block_says_which_unet_a_recipe_means() -> None:
    from pydantic import TypeAdapter

    adapter = TypeAdapter(AnyUNetConfig)
    assert adapter.validate_python({"block": "maxim", "windows": [4, 2]}) == MaximUNetConfig(windows=(4, 2))
    assert adapter.validate_python({"block": "dense", "width": 8}) == UNetConfig(block="dense", width=8)


def test_maxim_width_is_a_multiple_of_four() -> None:
    with pytest.raises(ValueError, match="width: expected a multiple of 4, got 6"):
        MaximUNetConfig(width=6)
