import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from restorekit.constyle.losses import code_gram_loss, content_loss, info_nce, map_gram_loss


def codes(count: int, seed: int, *, unit: bool = False) -> Tensor:
    drawn = torch.randn(count, 128, generator=torch.Generator().manual_seed(seed))
    return F.normalize(drawn) if unit else drawn


def padded(rows: list[list[float]]) -> Tensor:
    """Codes whose other values are zero."""
    return F.pad(torch.tensor(rows), (0, 126))


def maps(seed: int, *, batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first, second, third = (torch.randn(batch, size, 16 // size, 16 // size, generator=generator) for size in (2, 4, 8))
    return first, second, third


@pytest.mark.parametrize("unit", [True, False])
def test_info_nce_equals_an_explicit_sum_in_double_precision(unit: bool) -> None:
    query, key, negatives = codes(6, 0, unit=unit), codes(6, 1, unit=unit), codes(50, 2, unit=unit)
    losses = []
    for one, match in zip(query.double().numpy(), key.double().numpy(), strict=True):
        logits = np.array([one @ match, *(one @ other for other in negatives.double().numpy())]) / 0.07
        largest = logits.max()
        losses.append(largest + math.log(np.exp(logits - largest).sum()) - logits[0])
    found = info_nce(query, key, negatives, temperature=0.07)
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-5)


def test_info_nce_of_random_directions_is_that_of_chance() -> None:
    """E exp(cos/τ) = exp(1 / (2 · 128 τ²)) for the nearly Gaussian cosines of random directions in 128 dimensions."""
    query, key, negatives = codes(256, 0, unit=True), codes(256, 1, unit=True), codes(8000, 2, unit=True)
    expected = math.log(8000) + 1 / (2 * 128 * 0.07**2)
    assert float(info_nce(query, key, negatives, temperature=0.07)) == pytest.approx(expected, rel=0.05)


def test_info_nce_of_raw_codes_falls_to_chance_as_they_shrink() -> None:
    direction, negatives = codes(8, 0, unit=True), codes(2000, 1)
    losses = [
        float(info_nce(norm * direction, norm * direction, negatives, temperature=0.07))
        for norm in (2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.01)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(math.log(2001), abs=0.02)


def test_info_nce_without_negatives_is_zero_and_teaches_nothing() -> None:
    query = codes(3, 0, unit=True).requires_grad_()
    loss = info_nce(query, codes(3, 1, unit=True), torch.empty(0, 128), temperature=0.07)
    loss.backward()
    assert loss.item() == 0
    assert not query.grad.any()


def test_content_loss_is_the_mean_squared_difference() -> None:
    loss = content_loss(padded([[1.0, 2.0], [3.0, 4.0]]), padded([[0.0, 2.0], [3.0, 1.0]]))
    assert float(loss) == pytest.approx((1 + 9) / 256)


def test_code_gram_loss_is_minus_the_mean_squared_difference_of_sample_grams() -> None:
    ours = torch.tensor([[5.0, 11.0], [11.0, 25.0]])  # of (1, 2) and (3, 4)
    theirs = torch.tensor([[1.0, 0.0], [0.0, 4.0]])  # of (1, 0) and (0, 2)
    found = code_gram_loss(padded([[1.0, 2.0], [3.0, 4.0]]), padded([[1.0, 0.0], [0.0, 2.0]]))
    assert float(found) == pytest.approx(-float(((ours - theirs) / 256).square().mean()))
    assert found < 0


def test_map_gram_loss_is_zero_for_equal_maps_whatever_their_scale() -> None:
    first, second, third = maps(0)
    assert float(map_gram_loss((first, second, third), (3 * first, 0.1 * second, third))) == pytest.approx(0, abs=1e-6)


def test_map_gram_loss_is_one_where_no_channel_is_shared() -> None:
    ours, theirs = [], []
    for found in maps(0):
        half = torch.arange(found.shape[1]) < found.shape[1] // 2
        ours.append(found * half[:, None, None])
        theirs.append(found * ~half[:, None, None])
    assert float(map_gram_loss(tuple(ours), tuple(theirs))) == pytest.approx(1)


def test_map_gram_loss_equals_a_naive_one() -> None:
    ours, theirs = maps(0), maps(1)
    distances = []
    for found, clean in zip(ours, theirs, strict=True):
        for one, other in zip(found.double().numpy(), clean.double().numpy(), strict=True):
            gram, wanted = (np.einsum("ahw,bhw->ab", side, side) for side in (one, other))
            distances.append(1 - (gram * wanted).sum() / np.linalg.norm(gram) / np.linalg.norm(wanted))
    found_loss = float(map_gram_loss(ours, theirs))
    assert found_loss == pytest.approx(np.mean(distances), rel=1e-5)
    assert 0 < found_loss < 1


@pytest.mark.parametrize("size", [1e-12, 1e6])
def test_map_gram_loss_has_finite_gradients_at_any_scale(size: float) -> None:
    found = tuple((size * one).requires_grad_() for one in maps(0))
    map_gram_loss(found, maps(1)).backward()
    assert all(bool(torch.isfinite(one.grad).all()) for one in found)
