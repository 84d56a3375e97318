"""Zero, another photo's, mean and chance in place of the prior: what a gain can be attributed to."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from restorekit.core.image.convention import Images
from restorekit.core.prior import FeaturePrior
from restorekit.core.restorer import InputSpec
from restorekit.errors import UsageError
from restorekit.refine.config import RefinementConfig
from restorekit.refine.controls import ConstantPrior, RandomPrior, ZeroPrior, controlled, score_controls
from restorekit.refine.guided_convolution import PriorMapping
from restorekit.refine.module import RefinementModule
from restorekit.refine.restorer import refined


def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("prior", [ZeroPrior(4), RandomPrior(4), ConstantPrior(torch.arange(4.0))])
def test_controls_are_priors(prior) -> None:
    assert isinstance(prior, FeaturePrior)
    assert prior.to(torch.device("cpu"), "bfloat16") is prior
    images = torch.rand(3, 3, 8, 8)
    assert prior.features(images).shape == (3, prior.dim)
    assert prior.feature_map(images).shape == (3, prior.dim, 1, 1)
    torch.testing.assert_close(prior.features(images), prior.features(images))


def test_zero_leaves_nothing_of_the_prior() -> None:
    assert float(PriorMapping(4, 8)(ZeroPrior(4).features(torch.rand(1, 3, 8, 8))).detach().abs().max()) == 0.0


def test_random_vectors_follow_from_the_image_and_have_unit_length() -> None:
    prior, images = RandomPrior(64), torch.rand(3, 3, 8, 8)
    vectors = prior.features(images)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(prior.features(images[1:2]), vectors[1:2])
    assert (vectors @ vectors.T - torch.eye(3)).abs().max() < 0.5


def test_shuffled_gives_each_image_that_of_another() -> None:
    prior = F.normalize(torch.randn(5, 4), dim=1)
    shuffled = controlled(prior, "shuffled", generator=generator())
    assert sorted(shuffled.tolist()) == sorted(prior.tolist())
    assert not bool((shuffled == prior).all(dim=1).any())


def test_zero_and_random_use_only_the_shape() -> None:
    prior = F.normalize(torch.randn(5, 4), dim=1)
    assert torch.equal(controlled(prior, "zero", generator=generator()), torch.zeros(5, 4))
    drawn = controlled(prior, "random", generator=generator())
    assert torch.equal(drawn, controlled(torch.zeros(5, 4), "random", generator=generator()))
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(5))
    assert controlled(prior, "true", generator=generator()) is prior


def test_nothing_to_shuffle_is_refused() -> None:
    with pytest.raises(UsageError, match=r"config\.control: expected a batch of at least 2 to shuffle, got 1"):
        controlled(torch.rand(1, 4), "shuffled", generator=generator())


class Same:
    """A base that changes nothing."""

    name, spec = "same", InputSpec()

    def to(self, device, precision="float32"):
        return self

    def restore(self, degraded: Images, *, generator=None):
        return degraded


class Brightness(ZeroPrior):
    """Says one of four directions, by how bright the image is."""

    def features(self, images):
        level = (images.mean(dim=(1, 2, 3)) * 4).long().clamp(0, 3)
        return F.one_hot(level, 4).float()


def psnr(first, second):
    """Of what a file in 8 bits would hold."""
    first, second = ((image.clamp(0, 1) * 255).round().double() for image in (first, second))
    return 20 * np.log10(255) - 10 * float((first - second).square().mean().log10())


def test_scores_are_those_of_the_module_with_each_vector() -> None:
    torch.manual_seed(0)
    module = RefinementModule(RefinementConfig(prior_dim=4))
    torch.nn.init.normal_(module.decoder.tail.weight, std=0.2)
    clean = [torch.rand(1, 3, 16, 16) * 0.25 + place for place in (0.0, 0.3, 0.55)]
    pairs = [(image + 0.05 * torch.randn_like(image), image) for image in clean]
    scores = score_controls(refined(Same(), module, Brightness(4)), pairs)
    vectors = torch.eye(4)[[0, 1, 2]]
    mean = F.normalize(vectors.mean(0), dim=0)

    def expected(given):
        with torch.no_grad():
            answers = [module(d, d, g[None]) for (d, _), g in zip(pairs, given, strict=True)]
        return np.mean([psnr(answer, image) for answer, image in zip(answers, clean, strict=True)])

    assert scores["base"] == pytest.approx(np.mean([psnr(d, c) for d, c in pairs]), abs=1e-3)
    assert scores["true"] == pytest.approx(expected(vectors), abs=1e-3)
    assert scores["zero"] == pytest.approx(expected(torch.zeros(3, 4)), abs=1e-3)
    assert scores["shuffled"] == pytest.approx(expected(vectors[[2, 0, 1]]), abs=1e-3)
    assert scores["mean"] == pytest.approx(expected([mean] * 3), abs=1e-3)
    assert list(scores) == ["base", "true", "zero", "shuffled", "mean", "random"]
    assert len({round(score, 6) for score in scores.values()}) == 6


def test_module_that_ignores_its_prior_scores_the_same_for_all() -> None:
    module = RefinementModule(RefinementConfig(prior_dim=4))
    pairs = [(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)) for _ in range(2)]
    scores = score_controls(refined(Same(), module, Brightness(4)), pairs)
    assert len(set(scores.values())) == 1


def test_one_photo_is_not_enough() -> None:
    restorer = refined(Same(), RefinementModule(RefinementConfig(prior_dim=4)), Brightness(4))
    pair = (torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8))
    with pytest.raises(UsageError, match="at least 2 photos to exchange it between, got 1 of them"):
        score_controls(restorer, [pair])
    without = refined(Same(), RefinementModule(RefinementConfig(prior_use="none")))
    with pytest.raises(UsageError, match="got a restorer without a prior"):
        score_controls(without, [pair, pair])
