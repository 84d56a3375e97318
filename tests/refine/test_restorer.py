"""Any restorer refined: tiled equals whole, the prior is asked once, whatever the base and however it is cut."""

import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from restorekit.core.classical import build_classical
from restorekit.core.image.canvas import TensorView
from restorekit.core.image.tiling import TilingOptions, restore_images, restore_samples
from restorekit.core.networks.dense_unet import DenseUNetConfig
from restorekit.core.networks.restorer import NetworkRestorer
from restorekit.core.networks.routed_unets import RoutedUNetsConfig
from restorekit.core.networks.surveyed import SurveyedNetworkRestorer
from restorekit.core.restorer import GlobalRestorer, InputSpec, Restorer
from restorekit.errors import DependencyError, ModelError
from restorekit.priors.image_statistics import StatisticsPrior
from restorekit.refine.config import RefinementConfig
from restorekit.refine.controls import ZeroPrior
from restorekit.refine.module import RefinementModule
from restorekit.refine.restorer import RefinedRestorer, WholePhotoPrior, refined
from restorekit.refine.student import Student, StudentConfig, StudentPrior

SMALL_UNET = DenseUNetConfig(widths=(4, 8), blocks=(1, 1))


class Darker:
    """A pointwise base that knows no survey."""

    name, spec = "darker", InputSpec()

    def to(self, device, precision="float32"):
        return self

    def restore(self, degraded, *, generator=None):
        return degraded.square()


class Watching(ZeroPrior):
    """Remembers what it was shown."""

    def __init__(self, dim):
        super().__init__(dim)
        self.vector = F.normalize(torch.randn(dim, generator=torch.Generator().manual_seed(3)), dim=0)
        self.seen = []

    def features(self, images):
        self.seen.append(tuple(images.shape))
        return super().features(images)


@pytest.fixture
def module():
    return listening(RefinementConfig(prior_dim=12))


def listening(config):
    """A module that changes what it refines by about a tenth of the range."""
    torch.manual_seed(0)
    module = RefinementModule(config)
    torch.nn.init.normal_(module.decoder.tail.weight, std=0.2)
    return module


def photo(height, width, *, channels=3):
    smooth = F.interpolate(torch.rand(1, channels, height // 20, width // 20), (height, width), mode="bicubic")
    noisy = smooth.clamp(0.1, 0.9) + 0.05 * torch.randn(1, channels, height, width)
    return noisy.clamp(0, 1)[0].permute(1, 2, 0).numpy()


def awake(restorer):
    """A base whose fresh weights change the image."""
    torch.manual_seed(1)
    for parameter in restorer.module.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    return restorer


def student_prior(dim=12):
    torch.manual_seed(2)
    student = Student(StudentConfig(width=4), dim)
    return StudentPrior(lambda: student, dim)


BASES = {
    "pointwise": Darker,
    "network": lambda: awake(NetworkRestorer("unet", SMALL_UNET)),
    "surveyed": lambda: awake(SurveyedNetworkRestorer("routed", RoutedUNetsConfig(experts=(SMALL_UNET, SMALL_UNET)))),
}


@pytest.mark.parametrize("base", BASES)
def test_tiled_equals_whole(base, module) -> None:
    restorer = refined(BASES[base](), module, student_prior())
    samples = photo(60, 250)
    tiles = []
    options = TilingOptions(tile_px=208, on_tile=lambda done, total: tiles.append(total))
    tiled = restore_samples(restorer, samples, options)
    whole = restore_samples(restorer, samples)
    assert tiles[-1] > 1
    assert np.abs(tiled - whole).max() < 1e-5
    assert np.abs(whole - restore_samples(restorer.base, samples)).max() > 0.01


def test_result_is_the_module_of_base_and_prior(module) -> None:
    prior = student_prior()
    degraded = torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        alone = [module(one.square(), one, prior.features(one)) for one in degraded.split(1)]
    restored = refined(Darker(), module, prior).restore(degraded)
    torch.testing.assert_close(restored, torch.cat(alone), atol=1e-6, rtol=0)


def test_fresh_module_leaves_the_base_as_it_is() -> None:
    """Identity at the start, also for values outside [0, 1]."""
    base = build_classical("gamma", {})
    restorer = refined(base, RefinementModule(RefinementConfig(prior_dim=31)), StatisticsPrior())
    samples = photo(64, 80) * 1.2 - 0.1
    np.testing.assert_array_equal(restore_samples(restorer, samples), restore_samples(base, samples))


def test_base_is_cut_as_it_would_be_by_itself(module) -> None:
    """A base of unknown reach keeps its cross-fades: what is refined is what it gives alone."""
    base = awake(NetworkRestorer("unet", SMALL_UNET))
    samples = photo(60, 100)
    surveyed = refined(base, module, student_prior()).survey(
        TensorView(torch.from_numpy(samples).permute(2, 0, 1)[None])
    )
    np.testing.assert_array_equal(surveyed.restored.samples, restore_samples(base, samples))


def test_prior_sees_the_whole_photo_once_without_padding(module) -> None:
    prior = Watching(12)
    restore_samples(refined(Darker(), module, prior), photo(50, 230), TilingOptions(tile_px=208))
    assert prior.seen == [(1, 3, 50, 230)]


def test_prior_sees_an_overview_of_a_large_photo(module) -> None:
    prior = Watching(12)
    refined(Darker(), module, prior).survey(TensorView(torch.rand(1, 3, 8, 1500)))
    assert prior.seen == [(1, 3, 3, 500)]


def test_prior_that_looks_for_itself_is_not_shown_an_overview(module) -> None:
    restorer = refined(Darker(), module, student_prior())
    assert isinstance(restorer.prior, WholePhotoPrior)
    assert restorer.spec.multiple_of == 16
    images = torch.rand(1, 3, 32, 1504)
    torch.testing.assert_close(restorer.survey(TensorView(images)).prior, restorer.prior.features(images))


def test_prior_map_reaches_the_module() -> None:
    module = listening(RefinementConfig(prior_dim=31, prior_use="concat_2d", position=False))
    degraded = torch.rand(1, 3, 64, 96)
    restored = refined(Darker(), module, StatisticsPrior()).restore(degraded)
    with torch.no_grad():
        expected = module(degraded.square(), degraded, StatisticsPrior().feature_map(degraded))
    torch.testing.assert_close(restored, expected, atol=1e-6, rtol=0)


def test_refinements_of_refinements_are_restorers(module) -> None:
    inner = refined(Darker(), module, student_prior())
    outer = refined(inner, RefinementModule(RefinementConfig(prior_use="none")))
    assert isinstance(outer, GlobalRestorer)
    images = torch.rand(1, 3, 40, 52)
    torch.testing.assert_close(restore_images(outer, images), restore_images(inner, images), atol=1e-6, rtol=0)


def test_gray_photos_stay_gray(module) -> None:
    samples = photo(60, 70, channels=1)
    restored = restore_samples(refined(Darker(), module, student_prior()), samples)
    assert restored.shape == samples.shape


def test_pickled_restorer_gives_the_same(module) -> None:
    restorer = refined(build_classical("gamma", {}), module, StatisticsPrior12())
    images = torch.rand(1, 3, 32, 32)
    expected = restorer.restore(images)
    woken = pickle.loads(pickle.dumps(restorer))
    torch.testing.assert_close(woken.restore(images), expected)


class StatisticsPrior12(StatisticsPrior):
    """Twelve of the statistics; at module level, so that it can be pickled."""

    @property
    def dim(self):
        return 12

    def features(self, images):
        return F.normalize(super().features(images)[:, :12], dim=1)


def test_restorer_does_not_change_with_the_module_it_was_made_of(module) -> None:
    restorer = refined(Darker(), module, student_prior())
    images = torch.rand(1, 3, 32, 32)
    before = restorer.restore(images)
    torch.nn.init.ones_(module.decoder.tail.bias)
    torch.testing.assert_close(restorer.restore(images), before)


def test_bfloat16_stays_close(module) -> None:
    images = torch.rand(1, 3, 64, 64)
    restorer = refined(Darker(), module, student_prior())
    exact = restorer.restore(images)
    half = restorer.to(torch.device("cpu"), "bfloat16").restore(images)
    assert half.dtype == torch.float32
    assert (exact - images.square()).abs().max() > 0.1
    assert 0 < (half - exact).abs().max() < 1e-2


def test_no_gradient_runs_back_but_the_result_can_be_differentiated_on(module) -> None:
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    restored = refined(Darker(), module, student_prior()).restore(images)
    assert not restored.requires_grad
    (restored * images).sum().backward()


def test_restorer_keeps_the_protocols(module) -> None:
    restorer = refined(Darker(), module, student_prior())
    assert isinstance(restorer, Restorer)
    assert restorer.spec.tiling == "shared"
    assert 100 < restorer.spec.bytes_per_pixel < 4096


# ------------------------------------------------------------------------------------------------------------ bad input


def test_missing_prior_is_refused(module) -> None:
    with pytest.raises(ModelError, match="refined: expected the prior that the module was trained with, got none"):
        refined(Darker(), module)


def test_prior_of_another_length_is_refused(module) -> None:
    with pytest.raises(ModelError, match=r"expected a prior of shape \(1, 12\), got \(1, 31\)"):
        refined(Darker(), module, StatisticsPrior()).restore(torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize("planes", [(3, 6), (1, 2)])
def test_modules_for_dual_pixel_pairs_are_refused(planes) -> None:
    config = RefinementConfig(restored_planes=planes[0], degraded_planes=planes[1], prior_use="none")
    with pytest.raises(ModelError, match=f"got {planes[1]} to {planes[0]}"):
        refined(Darker(), RefinementModule(config))


GRAY = RefinementConfig(restored_planes=1, degraded_planes=1, prior_dim=12)


def test_gray_module_refines_each_plane_by_itself() -> None:
    module, prior = listening(GRAY), student_prior()
    degraded = torch.rand(2, 3, 32, 48)
    vectors = prior.features(degraded)
    with torch.no_grad():
        planes = [
            torch.cat([module(p.square(), p, vector) for p in one.split(1, dim=1)], dim=1)
            for one, vector in zip(degraded.split(1), vectors.split(1), strict=True)
        ]
    restorer = refined(Darker(), module, prior)
    torch.testing.assert_close(restorer.restore(degraded), torch.cat(planes), atol=1e-5, rtol=1e-5)
    gray = degraded[:1, :1].expand(-1, 3, -1, -1)
    with torch.no_grad():
        expected = module(gray[:, :1].square(), gray[:, :1], prior.features(gray))
    torch.testing.assert_close(restorer.restore(gray), expected.expand_as(gray), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_module_on_tiles_equals_the_whole(channels) -> None:
    restorer = refined(Darker(), listening(GRAY), student_prior())
    samples = photo(60, 250, channels=channels)
    tiled = restore_samples(restorer, samples, TilingOptions(tile_px=208))
    assert np.abs(tiled - restore_samples(restorer, samples)).max() < 1e-5
    assert np.ptp(tiled, axis=2).max() == 0 if channels == 1 else np.ptp(tiled, axis=2).max() > 0.1


def test_gray_photo_costs_one_plane() -> None:
    module, batches = listening(GRAY), []
    restorer = refined(Darker(), module, student_prior())
    restorer.module.encoder.stem.register_forward_hook(lambda layer, given, answer: batches.append(len(given[0])))
    restorer.restore(torch.rand(1, 1, 32, 32).expand(-1, 3, -1, -1))
    assert set(batches) == {1}
    restorer.restore(torch.rand(1, 3, 32, 32))
    assert set(batches) == {1, 3}


def test_absent_prior_weights_say_what_works_without(module) -> None:
    class Absent(ZeroPrior):
        def features(self, images):
            raise DependencyError("clip: expected pretrained weights, got nothing")

    restorer = RefinedRestorer(
        "mine", Darker(), module.config, lambda: module, Absent(12), without_prior="; take a student"
    )
    with pytest.raises(DependencyError, match="mine: clip: expected pretrained weights, got nothing; take a student"):
        restorer.restore(torch.rand(1, 3, 32, 32))
