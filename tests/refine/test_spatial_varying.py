"""The range map chooses between short and long range; the long range needs no more than small matrices of the whole."""

import pytest
import torch

from restorekit.core.restorer import Window
from restorekit.refine.config import RefinementConfig
from restorekit.refine.long_range import LongRange, attention_matrix, products
from restorekit.refine.spatial_varying import SpatialVaryingEnhancement

PLACE = Window(0, 0, 6, 7, full_height=6, full_width=7)


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def enhancement(released, **options):
    return released.shaken(SpatialVaryingEnhancement(RefinementConfig(prior_dim=8, **options))).double()


def test_range_map_lies_between_zero_and_one_and_varies(released) -> None:
    module = enhancement(released)
    weights = module.range_map(random(2, 16, 6, 7), random(2, 8), PLACE)
    assert weights.shape == (2, 1, 6, 7)
    assert 0 < weights.min() < weights.max() < 1


def test_negating_the_last_layer_of_the_range_map_swaps_the_branches(released) -> None:
    """So weighing the short range as in eq. 3, or the long one as in the authors' code, is the same network."""
    module = enhancement(released)
    features, prior = random(2, 16, 6, 7), random(2, 8)
    long, short = module.long(features), module.short(features)
    weights = module.range_map(features, prior, PLACE)
    torch.testing.assert_close(module(features, prior, PLACE), weights * long + (1 - weights) * short)
    with torch.no_grad():
        module.range_map.score.weight.neg_()
    torch.testing.assert_close(module(features, prior, PLACE), (1 - weights) * long + weights * short)


@pytest.mark.parametrize(("value", "branch"), [(0.0, "short"), (1.0, "long")])
def test_range_map_at_its_ends_is_one_branch_alone(released, monkeypatch, value, branch) -> None:
    module, features = enhancement(released), random(1, 16, 6, 7)
    monkeypatch.setattr(module.range_map, "forward", lambda *_: torch.full((1, 1, 6, 7), value, dtype=torch.float64))
    assert torch.equal(module(features, None, PLACE), getattr(module, branch)(features))


def test_signal_to_noise_weighs_the_short_range(released) -> None:
    module, features, snr = enhancement(released, fusion="snr"), random(1, 16, 6, 7), torch.rand(1, 1, 6, 7).double()
    expected = (1 - snr) * module.long(features) + snr * module.short(features)
    torch.testing.assert_close(module(features, None, PLACE, snr=snr), expected)


def test_sum_fusion_adds_the_branches(released) -> None:
    module, features = enhancement(released, fusion="sum"), random(1, 16, 6, 7)
    torch.testing.assert_close(module(features, None, PLACE), module.long(features) + module.short(features))


def test_long_range_with_its_matrices_equals_the_long_range(released) -> None:
    module, features = released.shaken(LongRange(16)).double(), random(2, 16, 6, 7)
    everywhere, found = (slice(None), slice(None)), []
    for index in range(4):
        so_far = module(features, found)
        found.append(attention_matrix(module.block(index), products(module.block(index), so_far, everywhere)))
        torch.testing.assert_close(found[-1].sum(2), torch.ones(2, 16).double())
    torch.testing.assert_close(module(features, found), module(features), atol=1e-12, rtol=1e-12)


def test_sums_of_parts_are_those_of_the_whole(released) -> None:
    module, features = released.shaken(LongRange(16)).double(), random(1, 16, 6, 7)
    block, columns = module.block(0), slice(None)
    whole = products(block, features, (slice(None), columns))
    parts = products(block, features, (slice(0, 2), columns)) + products(block, features, (slice(2, None), columns))
    for name in ("query_key", "query_query", "key_key"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name))


def test_features_of_zeros_have_an_attention_matrix(released) -> None:
    block = LongRange(16).block(0)
    sums = products(block, torch.zeros(1, 16, 4, 4), (slice(None), slice(None)))
    torch.testing.assert_close(attention_matrix(block, sums), torch.full((1, 16, 16), 1 / 16))


def test_recomputed_blocks_keep_only_their_inputs(released) -> None:
    module, features = LongRange(16), torch.randn(1, 16, 8, 8, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        module(features)
    assert sum(tensor.numel() for tensor in kept if not isinstance(tensor, torch.nn.Parameter)) <= 4 * features.numel()
