"""The contact sheet and its windows."""

import numpy as np
import pytest
from PIL import Image

from restorekit.errors import UsageError
from restorekit.report import ImageScore, ModelInfo, Report, draw_sheet
from restorekit.report.crops import Box, choose_windows
from restorekit.report.sheet import fit, font, shown_labels


def overlap(one, other):
    return (
        one.left < other.left + other.width
        and other.left < one.left + one.width
        and one.top < other.top + other.height
        and other.top < one.top + one.height
    )


def test_windows_find_the_texture_and_the_damage():
    clean = np.full((120, 200, 3), 90, np.uint8)
    clean[20:50, 30:60] = np.random.default_rng(0).integers(0, 255, (30, 30, 3))
    degraded = clean.copy()
    degraded[80:110, 150:180] += 60
    detail, damage = choose_windows(clean, degraded, side_px=30)
    assert (detail.left, detail.top) == (pytest.approx(30, abs=5), pytest.approx(20, abs=5))  # smoothing is 5 px
    assert damage == Box(150, 80, 30, 30)


def test_windows_are_those_of_a_naive_search():
    generator = np.random.default_rng(4)
    clean = generator.integers(0, 255, (20, 26, 3), dtype=np.uint8)
    degraded = generator.integers(0, 255, (20, 26, 3), dtype=np.uint8)
    detail, damage = choose_windows(clean, degraded, side_px=7)
    error = np.abs(clean.astype(float) - degraded).mean(axis=2)
    sums = {
        Box(x, y, 7, 7): error[y : y + 7, x : x + 7].sum()
        for y in range(14)
        for x in range(20)
        if not overlap(detail, Box(x, y, 7, 7))
    }
    assert damage == max(sums, key=sums.get)


def test_windows_are_not_drawn_to_noise():
    clean = np.full((120, 200, 3), 128, np.uint8)
    clean[20:50, 30:60] = np.kron(np.indices((5, 5)).sum(axis=0) % 2 * 99 + 50, np.ones((6, 6)))[..., None]
    noise = np.random.default_rng(0).normal(0, 25, clean.shape)
    noise[:60] *= 0.2
    noisy = np.clip(clean + noise, 0, 255).astype(np.uint8)
    detail, _ = choose_windows(noisy, clean, side_px=30)
    assert (detail.left, detail.top) == (pytest.approx(30, abs=4), pytest.approx(20, abs=4))


def test_windows_of_a_flat_picture_are_the_first_and_do_not_overlap():
    flat = np.zeros((64, 64, 3), np.uint8)
    first, second = choose_windows(flat, flat, side_px=20)
    assert first == Box(0, 0, 20, 20)
    assert not overlap(first, second)


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 300, 3), (40, 9, 3)])
def test_windows_stay_inside_small_pictures(shape):
    picture = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    for box in choose_windows(picture, picture, side_px=75):
        assert box.left >= 0
        assert box.top >= 0
        assert box.cut(picture).shape[:2] == (min(75, shape[0]), min(75, shape[1]))


def test_sheet_is_the_same_every_time_and_narrow_enough(pictured):
    sheet = draw_sheet(pictured)
    assert sheet.width <= 2400
    assert sheet.tobytes() == draw_sheet(pictured).tobytes()


def test_sheet_draws_no_more_pictures_than_asked(pictured):
    assert draw_sheet(pictured, pictures=1).height < draw_sheet(pictured, pictures=2).height


def test_sheet_shows_exact_pixels_of_the_clean_window(pictured):
    """A window's pixels, enlarged four times, are somewhere on the sheet."""
    name = "plain.png"
    pictures = pictured.pictures[name]
    window = choose_windows(pictures["clean"], pictures["input"], side_px=75)[0]
    pixels = window.cut(pictures["clean"])[10:12, 10:30]
    needle = np.repeat(np.repeat(pixels, 4, axis=0), 4, axis=1)
    sheet = np.asarray(draw_sheet(pictured))
    tops, lefts = np.nonzero((sheet[: -len(needle), : -needle.shape[1]] == needle[0, 0]).all(axis=2))
    assert any(
        np.array_equal(sheet[y : y + needle.shape[0], x : x + needle.shape[1]], needle)
        for y, x in zip(tops, lefts, strict=True)
    )


def test_sheet_stays_narrow_with_many_models(pictured):
    name, image = "plain.png", pictured.pictures["plain.png"]["input"]
    models = [ModelInfo(name="input", kind="input"), *(ModelInfo(name=f"model {i}" * 9) for i in range(11))]
    scores = [ImageScore(image=name, model=model.name, megapixels=0.1) for model in models]
    pictures = {name: {model.name: image for model in models}}
    sheet = draw_sheet(Report(run=pictured.run, metrics=[], models=models, scores=scores, pictures=pictures))
    assert sheet.width <= 2400
    assert isinstance(sheet, Image.Image)


def test_sheet_shows_only_the_best_classical_restorer(report_of):
    values = {"input": [20.0], "a": [22.0], "b": [25.0], "net": [30.0]}
    report = report_of(values, kinds={"a": "classical", "b": "classical"})
    assert shown_labels(report) == ["input", "b", "net", "clean"]


def test_sheet_refuses_a_report_without_pictures(report_of):
    with pytest.raises(UsageError, match="sheet: expected a report with pictures, got none"):
        draw_sheet(report_of({"input": [20.0]}))


def test_sheet_refuses_pictures_of_different_sizes(report_of):
    pictures = {"0.png": {"input": np.zeros((9, 8, 3), np.uint8), "net": np.zeros((9, 7, 3), np.uint8)}}
    with pytest.raises(UsageError, match=r"0\.png: expected pictures of one size, got input 8x9, net 7x9"):
        draw_sheet(report_of({"input": [20.0], "net": [30.0]}, pictures=pictures))


def test_text_that_does_not_fit_ends_in_an_ellipsis():
    face = font(20)
    shortened = fit("a very long name of a very long model", face, 120)
    assert shortened.endswith("…")
    assert face.getlength(shortened) <= 120
    assert fit("short", face, 120) == "short"
