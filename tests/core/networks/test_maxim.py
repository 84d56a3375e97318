"""MAXIM has the size of the authors' network, and its layers look where the paper says."""

import pytest
import torch

from restorekit.core.networks import count_macs, count_parameters
from restorekit.core.networks.maxim import MaximConfig
from restorekit.core.networks.maxim_blocks import MaximStack, SpatialMixing
from restorekit.core.networks.maxim_gates import CrossGate, ScaleMix
from restorekit.core.options import check_options

TINY = {"width": 4, "windows": (4, 2, 2), "groups": 1, "middle_blocks": 1}


def test_maxim_has_the_size_of_the_authors_network() -> None:
    """8,175,683 in the PyTorch port that ConStyle compares with, of which 2,041,312 never get a gradient."""
    assert count_parameters(MaximConfig(unused_parts=True)) == 8_175_683
    assert count_parameters(MaximConfig()) == 8_175_683 - 2_041_312
    assert MaximConfig().multiple_of == 64


def test_maxim_multiplies_as_often_as_the_authors_network() -> None:
    assert count_macs(MaximConfig(), height_px=128, width_px=128) / 1e9 == pytest.approx(10.290, abs=0.0005)


@pytest.mark.parametrize(("windows", "channels"), [((4, 2, 2), 3), ((2, 1), 1), ((3, 2), 3)])
def test_maxim_keeps_the_shape_and_has_no_dead_parameter(windows, channels) -> None:
    torch.manual_seed(0)
    config = MaximConfig(**TINY | {"windows": windows, "channels": channels})
    images = torch.rand(2, channels, 2 * config.multiple_of, config.multiple_of)
    network = config.build()
    restored = network(images)
    assert restored.shape == images.shape
    restored.square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_unused_parts_get_no_gradient_and_change_nothing() -> None:
    lean, whole = MaximConfig(**TINY).build(), MaximConfig(**TINY, unused_parts=True).build()
    whole.load_state_dict(lean.state_dict(), strict=False)
    images = torch.rand(1, 3, 8, 16)
    assert torch.equal(whole(images), lean(images))
    whole(images).sum().backward()
    assert {name.split(".")[0] for name, parameter in whole.named_parameters() if parameter.grad is None} == {"unused"}


def test_maxim_adds_its_input() -> None:
    network = MaximConfig(**TINY).build()
    torch.nn.init.zeros_(network.head.weight)
    torch.nn.init.zeros_(network.head.bias)
    images = torch.rand(1, 3, 8, 8)
    assert torch.equal(network(images), images)


def test_maxim_runs_in_bfloat16() -> None:
    network = MaximConfig(**TINY).build()
    images = torch.rand(1, 3, 8, 16)
    with torch.autocast("cpu", torch.bfloat16):
        restored = network(images)
    torch.testing.assert_close(restored.float(), network(images), atol=0.05, rtol=0)


@pytest.mark.parametrize("grid", [False, True])
def test_spatial_mixing_is_a_dense_layer_over_window_or_grid(grid) -> None:
    """Pixel by pixel: in a window of side 2 the neighbours, in a grid of 2 x 2 cells the same place of every cell."""
    mixing = SpatialMixing(2, grid=grid).double()
    features = torch.randn(2, 3, 6, 4).double()
    expected = torch.zeros_like(features)
    for row in range(6):
        for column in range(4):
            if grid:
                rows, columns = (row % 3, row % 3 + 3), (column % 2, column % 2 + 2)
            else:
                rows, columns = (row // 2 * 2, row // 2 * 2 + 1), (column // 2 * 2, column // 2 * 2 + 1)
            places = [(r, c) for r in rows for c in columns]
            output = places.index((row, column))
            expected[:, :, row, column] = mixing.dense.bias[output] + sum(
                mixing.dense.weight[output, index] * features[:, :, r, c] for index, (r, c) in enumerate(places)
            )
    torch.testing.assert_close(mixing(features), expected, rtol=0, atol=1e-12)


def test_stack_with_closed_outputs_is_twice_its_input() -> None:
    """Each block is a residual, and the long skip adds the input once more."""
    stack = MaximStack(4, 2, 2)
    with torch.no_grad():
        for name, parameter in stack.named_parameters():
            if name.endswith(("project.weight", "project.bias", "second.weight", "second.bias")):
                parameter.zero_()
    features = torch.randn(1, 4, 4, 6)
    torch.testing.assert_close(stack(features), 2 * features)


def test_cross_gate_with_closed_outputs_passes_both_inputs_on() -> None:
    gate = CrossGate(6, 4, 2)
    for output in (gate.signal_output, gate.guide_output):
        torch.nn.init.zeros_(output.weight)
        torch.nn.init.zeros_(output.bias)
    signal, guide = torch.randn(1, 6, 4, 4), torch.randn(1, 4, 4, 4)
    gated_signal, gated_guide = gate(signal, guide)
    torch.testing.assert_close(gated_guide, gate.guide_input(guide))
    torch.testing.assert_close(gated_signal, gate.signal_input(signal) + gated_guide)


def test_cross_gate_lets_each_signal_change_the_other() -> None:
    torch.manual_seed(0)
    gate = CrossGate(4, 4, 2)
    signal, guide = torch.randn(2, 1, 4, 4, 4)
    gated_signal, gated_guide = gate(signal, guide)
    assert not torch.equal(gate(signal + 1, guide)[1], gated_guide)
    assert not torch.equal(gate(signal, guide + 1)[0], gated_signal)


def test_scale_mix_resizes_reduces_and_keeps() -> None:
    mix = ScaleMix([4, 8], 4, keep=True)
    fine, coarse = torch.randn(1, 4, 8, 8), torch.full((1, 8, 4, 4), 2.0)
    mixed = mix([fine, coarse], 8, 8)
    assert torch.equal(mixed[:, :4], fine)
    torch.testing.assert_close(mixed[:, 4:], mix.reductions[1](torch.full((1, 8, 8, 8), 2.0)))
    halved = mix([fine, coarse], 4, 4)[:, :4]
    torch.testing.assert_close(halved.mean(), fine.mean(), atol=0.1, rtol=0)  # antialiased: the mean stays


def test_config_names_what_is_wrong() -> None:
    assert check_options(MaximConfig, {"width": 6}) == ["width: expected a multiple of 4, got 6"]
    (problem,) = check_options(MaximConfig, {"window": [8]})
    assert problem.startswith("window: unknown key;")
    assert problem.endswith("; did you mean windows?")
