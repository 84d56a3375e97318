"""Samples become Images and come back: exact at every depth, clamped where a file would overflow."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from restorekit.core.image.convention import SAMPLE_PEAK, check_images, convert_depth, from_images, quantise, to_images
from restorekit.errors import ImageError


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_integer_sample_survives_the_way_to_images_and_back(dtype: type[np.unsignedinteger]) -> None:
    levels = np.arange(np.iinfo(dtype).max + 1, dtype=dtype)
    samples = np.stack([levels, levels[::-1], levels], axis=-1).reshape(16, -1, 3)
    assert np.array_equal(from_images(to_images(samples), dtype), samples)


def test_float_samples_are_kept_even_outside_the_unit_range() -> None:
    samples = np.array([[[-0.25, 0.5, 1.75]]], dtype=np.float32)
    assert np.array_equal(from_images(to_images(samples), np.float32), samples)


def test_to_images_puts_channels_first_and_divides_by_the_peak() -> None:
    samples = np.zeros((2, 3, 3), dtype=np.uint8)
    samples[1, 2] = (255, 51, 0)
    images = to_images(samples)
    assert images.shape == (1, 3, 2, 3)
    torch.testing.assert_close(images[0, :, 1, 2], torch.tensor([1.0, 0.2, 0.0]))


def test_to_images_repeats_a_gray_channel_three_times() -> None:
    gray = np.array([[[0], [255]]], dtype=np.uint8)
    assert to_images(gray)[0].tolist() == [[[0.0, 1.0]]] * 3


def test_to_images_reads_samples_that_are_not_contiguous() -> None:
    samples = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    assert torch.equal(to_images(samples[:, ::-1]), to_images(samples).flip(-1))


def test_to_images_does_not_share_memory_with_its_samples() -> None:
    samples = np.full((2, 2, 3), 0.5, dtype=np.float32)
    images = to_images(samples)
    images.fill_(0.0)
    assert samples.min() == 0.5


def test_from_images_averages_channels_for_a_gray_file() -> None:
    images = torch.tensor([30.0, 60.0, 120.0]).reshape(1, 3, 1, 1) / 255
    assert from_images(images, np.uint8, channels=1).tolist() == [[[70]]]


@given(st.floats(-2, 3, width=32))
def test_quantise_matches_pythons_own_rounding(value: float) -> None:
    scaled = float(np.float32(min(max(value, 0.0), 1.0)) * np.float32(255))
    assert quantise(np.array([[[value]]], dtype=np.float32), np.uint8).item() == round(scaled)


def test_quantise_names_the_depths_it_knows() -> None:
    with pytest.raises(ImageError, match=rf"expected one of {', '.join(SAMPLE_PEAK)}, got int16"):
        quantise(np.zeros((1, 1, 3), dtype=np.float32), np.int16)


def test_convert_depth_widens_eight_bits_exactly() -> None:
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(convert_depth(levels, np.uint16), levels.astype(np.uint16) * 257)  # 65535 = 255 * 257


def test_convert_depth_narrows_to_the_nearest_level() -> None:
    levels = np.arange(65536, dtype=np.uint16)
    error = convert_depth(levels, np.uint8).astype(np.float64) * 257 - levels
    assert np.abs(error).max() <= 128


def test_convert_depth_of_the_same_depth_keeps_values_outside_the_unit_range() -> None:
    samples = np.array([-0.5, 2.0], dtype=np.float32)
    assert np.array_equal(convert_depth(samples, np.float32), samples)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(3, 4, 4), r"rain\.png: expected shape \(batch, 3, height, width\), got \(3, 4, 4\)"),
        (torch.zeros(1, 4, 4, 4), r"got \(1, 4, 4, 4\)"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), r"got torch\.uint8; divide by the peak value"),
        (torch.full((1, 3, 2, 2), float("nan")), "expected finite values, got NaN or infinity"),
        (torch.full((1, 3, 2, 2), float("inf")), "expected finite values, got NaN or infinity"),
    ],
)
def test_check_images_says_what_is_wrong(images: torch.Tensor, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        check_images(images, "rain.png")


def test_check_images_accepts_noise_outside_the_unit_range() -> None:
    check_images(torch.linspace(-1, 2, 48).reshape(1, 3, 4, 4), "noisy")
