"""The plain order of work of suite ``constyle`` computes what ours computes: speed is compared of equal work."""

import pytest
import speed_constyle
import torch
from plain_constyle import contrastive_step, make_contrast, make_pair, plain_fusions

from restorekit.core.networks.fold import fold


def test_plain_contrast_gives_the_same_losses_step_after_step() -> None:
    pairs = [make_pair(16, side) for side in (32, 48, 32)]
    found = []
    for which in ("ours", "plain"):
        encoder, contrast = make_contrast(which, 64)
        found.append([contrastive_step(encoder, contrast, *pair) for pair in pairs])
    for ours, plain in zip(*found, strict=True):
        assert set(ours) == set(plain)
        for name, loss in ours.items():
            assert float(loss.detach()) == pytest.approx(float(plain[name].detach()), rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("block", ["nafnet", "restormer"])
def test_plain_network_gives_the_same_pixels(block: str) -> None:
    network = speed_constyle.make_network(block, small=True).eval()
    torch.nn.init.normal_(network.unet.head[-1].weight, std=0.1)
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, plain = fold(network)(image), plain_fusions(network)(image)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)
    assert float((ours - image).abs().max()) > 1e-2
