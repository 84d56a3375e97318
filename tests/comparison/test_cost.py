"""What a restorer costs is counted also where it takes gradients while it restores."""

import torch

from restorekit.comparison.cost import measure_cost
from restorekit.core.restorer import InputSpec


class Descent:
    """One step down the gradient of a convolution's energy."""

    name = "descent"
    spec = InputSpec(tiling="whole", halo=0)

    def __init__(self):
        self.layer = torch.nn.Conv2d(3, 3, 3, padding=1, bias=False)

    def to(self, device, precision="float32"):
        return self

    def restore(self, degraded, *, generator=None):
        with torch.inference_mode(mode=False), torch.enable_grad():
            leaf = degraded.clone().requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.layer(leaf).square().sum(), leaf)
        return (degraded - 0.1 * gradient).detach()


def test_gradients_are_counted_as_the_products_they_are():
    """Forward and backward for the pixels: twice 3 x 3 x 3 x 3 a pixel; the weights' gradient is not asked for."""
    restorer = Descent()
    restorer.layer.requires_grad_(False)
    cost = measure_cost(restorer)
    assert cost.macs == 2 * 81 * 256**2
