"""The contract of every metric, and how texts become metrics."""

import math
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from restorekit.core.metric.base import METRICS, Metric, make_metric
from restorekit.core.metric.perceptual import LPIPS
from restorekit.core.metric.protocol import CHOICES, format_address, parse_address
from restorekit.errors import SpecError


@pytest.fixture(params=sorted(METRICS))
def metric(request: pytest.FixtureRequest, squeezenet_file: str) -> Metric:
    if request.param == "lpips":
        return LPIPS(parse_address("lpips[net=squeeze]")[1], backbone=squeezenet_file)
    return make_metric(request.param)


@pytest.fixture(scope="module")
def clean(photo: Callable[..., np.ndarray], tensor: Callable[..., Tensor]) -> Tensor:
    return tensor(photo("coffee", 192, 192), photo("astronaut", 192, 192))


@pytest.fixture(scope="module")
def bad(photo: Callable[..., np.ndarray], noisy: Callable[..., np.ndarray], tensor: Callable[..., Tensor]) -> Tensor:
    return tensor(*(noisy(photo(name, 192, 192), 40) for name in ("coffee", "astronaut")))


def test_metrics_and_their_options_are_the_same_list() -> None:
    assert list(METRICS) == list(CHOICES)
    assert all(METRICS[name].name == name for name in METRICS)


def test_metric_keeps_the_contract(metric: Metric) -> None:
    assert isinstance(metric, Metric)
    assert metric.unit in ("dB", "")
    assert 2 <= metric.decimals <= 4
    assert metric.description


def test_metric_address_reads_back_to_its_protocol(metric: Metric) -> None:
    assert parse_address(metric.address) == (metric.name, metric.protocol)


def test_metric_gives_one_value_per_image_whatever_the_batch(metric: Metric, clean: Tensor, bad: Tensor) -> None:
    together = metric.score(bad, clean)
    alone = [metric.score(bad[i : i + 1], clean[i : i + 1]).item() for i in range(2)]
    assert together.shape == (2,)
    assert together.tolist() == pytest.approx(alone, rel=1e-5)


def test_metric_prefers_the_clean_image_to_the_noisy_one(metric: Metric, clean: Tensor, bad: Tensor) -> None:
    good, poor = metric.score(clean, clean), metric.score(bad, clean)
    assert torch.all(good > poor if metric.higher_is_better else good < poor)


def test_metric_does_not_change_its_inputs(metric: Metric, clean: Tensor, bad: Tensor) -> None:
    restored, reference = bad.clone(), clean.clone()
    metric.score(restored, reference)
    assert torch.equal(restored, bad)
    assert torch.equal(reference, clean)


def test_metric_survives_pickling(metric: Metric, clean: Tensor, bad: Tensor) -> None:
    copy = pickle.loads(pickle.dumps(metric))
    assert torch.equal(copy.score(bad, clean), metric.score(bad, clean))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_metric_agrees_between_devices(metric: Metric, clean: Tensor, bad: Tensor) -> None:
    expected = metric.score(bad, clean)
    found = metric.score(bad.cuda(), clean.cuda())
    assert found.device.type == "cuda"
    assert found.cpu().tolist() == pytest.approx(expected.tolist(), rel=1e-4)


def test_make_metric_reads_options() -> None:
    assert make_metric("ssim[uniform7|float]").address == "ssim[rgb|per-image|float|crop0|uniform7]"


def test_make_metric_takes_the_presets_protocol_unless_told_otherwise() -> None:
    assert make_metric("psnr[crop4]", preset="basicsr-y").address == "psnr[y-studio|per-image|u8|crop4]"
    assert make_metric("ssim[rgb]", preset="tao").address == "ssim[rgb|per-image|u8|crop0|gauss11]"


def test_make_metric_keeps_the_default_of_metrics_the_preset_does_not_name() -> None:
    assert make_metric("niqe", preset="kair").address == format_address(*parse_address("niqe"))


def test_make_metric_refuses_unknown_names() -> None:
    with pytest.raises(
        SpecError, match="metric: expected one of psnr, ssim, ms-ssim, psnr-affine, lpips, niqe, got 'ssmi'; did you"
    ):
        make_metric("ssmi")
    with pytest.raises(SpecError, match="preset: expected one of kair"):
        make_metric("psnr", preset="kari")


def test_gt_mean_is_loud_in_the_address_and_changes_the_number(clean: Tensor) -> None:
    plain, flagged = make_metric("psnr", preset="lol"), make_metric("psnr", preset="lol-gtmean")
    dark = clean * 0.5
    assert "GT-MEAN" in flagged.address
    assert flagged.score(dark, clean).min() > plain.score(dark, clean).max() + 10
    assert math.isfinite(plain.score(dark, clean)[0].item())
