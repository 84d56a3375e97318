"""Equal, cheaper forms of networks for inference: linear steps that follow each other become one.

A block that knows such a form of itself says so by a method ``folded``. Weights are merged in double precision, so
results differ by rounding alone.
"""

import copy
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Foldable", "fold", "scaled", "with_norm"]

Module = TypeVar("Module", bound=nn.Module)
PerChannel = Float[Tensor, "*ones channels"]


@runtime_checkable
class Foldable(Protocol):
    """A module with a cheaper form."""

    def folded(self) -> nn.Module:
        """The cheaper form, of copied weights; the module itself where none is cheaper."""
        ...


def fold(network: Module) -> Module:
    """A copy of a network for inference, in which every module takes its cheaper form; results are equal.

    Args:
        network: any; it stays as it is.

    Returns:
        In evaluation mode, without gradients; its ``state_dict`` is another than that of ``network``.
    """
    folded = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(folded.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Foldable):
                setattr(module, name, child.folded().eval().requires_grad_(False))
    return folded


def with_norm(
    convolution: nn.Conv2d,
    weight: Float[Tensor, " channels"],
    bias: Float[Tensor, " channels"] | None = None,
) -> nn.Conv2d:
    """A 1x1 convolution of ``weight * x + bias``, as one of x: what comes after a norm takes over its last step."""
    matrix = convolution.weight.double()
    shift = torch.zeros(len(matrix), dtype=torch.float64, device=matrix.device)
    if convolution.bias is not None:
        shift = shift + convolution.bias.double()
    if bias is not None:
        shift = shift + matrix[:, :, 0, 0] @ bias.double()
    has_shift = convolution.bias is not None or bias is not None
    return _like(convolution, matrix * weight.double()[:, None, None], shift if has_shift else None)


def scaled(convolution: nn.Conv2d, scale: Float[Tensor, "1 channels 1 1"]) -> nn.Conv2d:
    """A convolution whose results are multiplied by ``scale``, as one."""
    factor = scale.double().flatten()
    bias = None if convolution.bias is None else convolution.bias.double() * factor
    return _like(convolution, convolution.weight.double() * factor[:, None, None, None], bias)


def _like(convolution: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """The same convolution of other weights."""
    other = copy.deepcopy(convolution)
    dtype = convolution.weight.dtype
    other.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    other.bias = None if bias is None else nn.Parameter(bias.to(dtype), requires_grad=False)
    return other
