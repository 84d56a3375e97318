"""Error maps: dark where right, brighter the more wrong, on a scale that the input sets."""

import numpy as np
import pytest

from restorekit.report.error_map import colours_of, error_levels, error_map


def test_error_map_is_dark_where_the_picture_is_right_and_brightest_beyond_the_scale():
    clean = np.full((4, 6, 3), 100, np.uint8)
    wrong = clean.copy()
    wrong[0, 0] += 50
    wrong[1, 1] -= 20
    drawn = error_map(wrong, clean, levels=40.0)
    assert drawn.shape == clean.shape
    assert tuple(drawn[2, 2]) == tuple(colours_of(np.zeros((1, 1)))[0, 0])
    assert tuple(drawn[0, 0]) == tuple(colours_of(np.ones((1, 1)))[0, 0])
    assert tuple(drawn[1, 1]) == tuple(colours_of(np.full((1, 1), 0.5))[0, 0])


def test_colours_grow_lighter_throughout():
    colours = colours_of(np.linspace(0, 1, 64)[None]).astype(float)[0]
    luma = colours @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(luma) > 0).all()


def test_scale_ends_where_one_percent_of_the_input_lies_beyond():
    clean = np.zeros((10, 100, 3), np.uint8)
    degraded = np.repeat(np.arange(1000).reshape(10, 100, 1) % 200, 3, axis=2).astype(np.uint8)
    assert error_levels(degraded, clean) == pytest.approx(np.percentile(degraded[..., 0], 99))
    assert error_levels(clean, clean) == 4.0
