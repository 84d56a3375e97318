"""Losses of pixels have the values of their formulas: eps inside the root, a mean or a sum."""

import math

import pytest
import torch

from restorekit.errors import UsageError
from restorekit.training.pixel_loss import PixelLoss

VALUES = 2 * 3 * 4 * 5


def pictures(*levels: float) -> torch.Tensor:
    """One even picture for each level."""
    return torch.tensor(levels)[:, None, None, None].expand(-1, 3, 4, 5).clone()


def test_eps_stands_squared_inside_the_root() -> None:
    """Where nothing differs the loss is eps, which code that writes sqrt(d^2 + 1e-6) gives for eps = 1e-3."""
    even = pictures(0.5, 0.5)
    assert float(PixelLoss("charbonnier")(even, even, even)) == pytest.approx(math.sqrt(1e-6))
    assert float(PixelLoss("charbonnier", eps=0.04)(even, even, even + 0.03)) == pytest.approx(0.05)
    outside = math.sqrt(0.03**2) + 0.04
    assert float(PixelLoss("charbonnier", eps=0.04)(even, even, even + 0.03)) < outside


def test_smooth_where_the_images_agree() -> None:
    """The gradient of sqrt(d^2 + eps^2) is d / sqrt(d^2 + eps^2), over the number of values: 0 at 0, not undefined."""
    clean = pictures(0.0, 0.0)
    restored = pictures(0.0, 0.03).requires_grad_()
    PixelLoss("charbonnier", eps=0.04)(restored, clean, clean).backward()
    torch.testing.assert_close(restored.grad, pictures(0.0, 0.6) / VALUES)


@pytest.mark.parametrize(
    ("name", "mean"), [("l1", 0.2), ("charbonnier", (math.hypot(0.1, 0.1) + math.hypot(0.3, 0.1)) / 2)]
)
def test_sum_is_over_all_values_of_the_batch(name, mean) -> None:
    restored, clean = pictures(0.1, 0.5), pictures(0.2, 0.2)
    for reduction, factor in (("mean", 1), ("sum", VALUES)):
        loss = PixelLoss(name, eps=0.1, reduction=reduction)
        assert float(loss(restored, restored, clean)) == pytest.approx(mean * factor, rel=1e-5)


def test_balanced_sum_is_the_balanced_mean_times_the_number_of_values() -> None:
    restored, degraded, clean = pictures(0.1, 0.5), pictures(0.2, 0.6), pictures(0.2, 0.2)
    weights = [1 / 0.1, 1 / 0.5]  # 0.1 plus the RMSE of the degraded pictures
    mean = (0.1 * weights[0] + 0.3 * weights[1]) / sum(weights)
    loss = PixelLoss("l1", balance=0.1, reduction="sum")
    assert float(loss(restored, degraded, clean)) == pytest.approx(mean * VALUES, rel=1e-5)


def test_decibels_are_not_summed() -> None:
    with pytest.raises(UsageError, match=r"reduction: expected mean beside the loss psnr, .* got sum"):
        PixelLoss("psnr", reduction="sum")
