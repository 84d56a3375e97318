"""The receptive field of a U-Net of local blocks, maps included, is exactly what its configuration says."""

import pytest
import torch

from restorekit.constyle.config import PAPER_UNETS, UNetConfig
from restorekit.constyle.encoder import ConStyleEncoder


def probed_radius(config):
    """Largest distance to an input pixel with a gradient; weights are positive, so no two paths cancel."""
    network, encoder = config.build().double(), ConStyleEncoder(width=config.encoder_width).double().eval()
    with torch.no_grad():
        for parameter in [*network.parameters(), *encoder.stages.parameters()]:
            parameter.copy_(torch.rand_like(parameter) * 0.1 + 0.01)
    cell = max(config.multiple_of, 8)
    half = (config.receptive_field_px // cell + 2) * cell
    code, radii = torch.rand(1, 128, dtype=torch.float64), []
    for place in range(half, half + cell):
        images = torch.ones(1, 3, cell, 2 * half + cell, dtype=torch.float64, requires_grad=True)
        network(images, code, encoder.feature_maps(images))[0, :, 0, place].sum().backward()
        touched = images.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
        radii += [place - int(touched.min()), int(touched.max()) - place]
    return max(radii)


@pytest.mark.parametrize("maps", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("block", "down", "middle", "up"), [("conv", (0, 1), 0, (1, 0)), ("dense", (1, 0, 0), 1, (0, 0, 1))]
)
def test_receptive_field_is_what_gradients_reach(block, down, middle, up, stride, maps) -> None:
    config = UNetConfig(
        block=block,
        width=4,
        encoder_blocks=down,
        middle_blocks=middle,
        decoder_blocks=up,
        input_stride=stride,
        use_maps=maps,
        encoder_width=1,
    )
    assert probed_radius(config) == config.receptive_field_px


def test_attention_has_no_bounded_receptive_field() -> None:
    assert PAPER_UNETS["nafnet"].receptive_field_px is None
    assert PAPER_UNETS["restormer"].receptive_field_px is None
