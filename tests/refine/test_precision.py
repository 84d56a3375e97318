"""In bfloat16, whatever sums over pixels or channels does so in float32: only its inputs and its result are rounded."""

import pytest
import torch
import torch.nn.functional as F

from restorekit.core.networks.layer_norm import LayerNorm2d
from restorekit.refine.long_range import LongRange, products
from restorekit.refine.shared_norm import Moments, SharedInstanceNorm

ROUNDING = 2**-8  # of bfloat16, relative


@pytest.fixture
def features():
    """Far from zero and of many pixels: a sum in bfloat16, whose numbers above 256 are even, would be lost."""
    generator = torch.Generator().manual_seed(0)
    return (4 + torch.randn(1, 16, 96, 96, generator=generator)).bfloat16()


def test_instance_norm_takes_its_moments_in_float32(features) -> None:
    wide = features.double()
    expected = F.instance_norm(wide, eps=1e-5)
    norm = SharedInstanceNorm(16)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(norm(features).double(), expected, atol=2 * ROUNDING, rtol=2 * ROUNDING)
        moments = Moments.of(features)
    assert moments.mean.dtype == moments.variance.dtype == torch.float32
    torch.testing.assert_close(moments.mean.double(), wide.mean((2, 3)), atol=0, rtol=1e-5)
    torch.testing.assert_close(moments.variance.double(), wide.var((2, 3), correction=0), atol=0, rtol=1e-5)


def test_layer_norm_takes_its_moments_in_float32(features) -> None:
    expected = F.layer_norm(features.double().movedim(1, -1), (16,), eps=1e-5).movedim(-1, 1)
    with torch.autocast("cpu", torch.bfloat16):
        found = LayerNorm2d(16, eps=1e-5)(features)
    torch.testing.assert_close(found.double(), expected, atol=2 * ROUNDING, rtol=2 * ROUNDING)


@torch.no_grad()
def test_products_of_the_attention_are_summed_in_float32(released, features) -> None:
    block = released.shaken(LongRange(16)).block(0)
    seen = []
    block.attention.depthwise.register_forward_hook(lambda _, __, mixed: seen.append(mixed))
    with torch.autocast("cpu", torch.bfloat16):
        sums = products(block, features, (slice(None), slice(None)))
        block.attention(block.attention_norm(features))
    query, key = seen[0].double().flatten(2).chunk(3, dim=1)[:2]
    assert seen[0].dtype == torch.bfloat16
    for found, expected in (
        (sums.query_key, query @ key.transpose(-2, -1)),
        (sums.query_query, query.square().sum(-1)),
        (sums.key_key, key.square().sum(-1)),
    ):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), expected, atol=float(expected.abs().max()) * 1e-5, rtol=0)
