"""Edges of a known width, and motion in a known direction."""

import cv2
import numpy as np
import pytest

from restorekit.diagnosis.sharpness import measure_blur


def discs():
    """Sharp discs at many places: edges in all directions."""
    rows, columns = np.mgrid[:1024, :1024]
    inside = np.hypot((rows % 256) - 128, (columns % 256) - 128) < 80
    sharp = cv2.resize(np.where(inside, 0.8, 0.2).astype(np.float32), (256, 256), interpolation=cv2.INTER_AREA)
    return np.repeat(sharp[..., None], 3, axis=2)


@pytest.mark.parametrize("sigma_px", [1.0, 2.0, 3.0])
def test_width_of_edges_is_the_blurs(sigma_px):
    found = measure_blur([cv2.GaussianBlur(discs(), (0, 0), sigma_px)])
    assert found.sigma_px == pytest.approx(sigma_px, rel=0.2)
    assert found.direction is None


def test_sharp_edges_are_narrow():
    assert measure_blur([discs()]).sigma_px < 0.6


@pytest.mark.parametrize(("degrees", "kernel"), [(0, np.ones((1, 13))), (90, np.ones((13, 1))), (135, np.eye(11))])
def test_motion_has_its_direction(degrees, kernel):
    found = measure_blur([cv2.filter2D(discs(), -1, kernel / kernel.sum())])
    assert found.direction is not None
    assert min(abs(found.direction - degrees), 180 - abs(found.direction - degrees)) <= 23
    assert found.elongation > 1.6


def test_flat_photo_has_no_edges_and_no_confidence():
    found = measure_blur([np.full((64, 64, 3), 0.5, dtype=np.float32)])
    assert (found.sigma_px, found.direction, found.confidence) == (0, None, 0)
