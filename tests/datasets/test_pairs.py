"""Pairs come out as arrays, whatever the files are."""

import cv2
import numpy as np
import pytest
import scipy.io

from restorekit.datasets.set_pairs import pairs
from restorekit.errors import ImageError, UsageError


def test_pairs_of_images_by_name(write):
    low, high = write("eval15/low/1.png"), write("eval15/high/1.png")
    (pair,) = pairs(write.root)
    assert pair.name == "eval15/low/1.png"
    assert np.array_equal(pair.degraded, low[..., ::-1])  # OpenCV wrote blue first
    assert np.array_equal(pair.clean, high[..., ::-1])


def test_pairs_are_read_when_asked_for(write):
    write("eval15/low/1.png")
    write("eval15/high/1.png")
    write("eval15/high/2.png")
    (write.root / "eval15/low/2.png").write_bytes(b"nothing")
    found = pairs(write.root)
    assert next(found).name == "eval15/low/1.png"
    with pytest.raises(ImageError, match=r"2\.png"):
        next(found)


def test_pairs_of_arrays_are_red_first_and_share_the_long_exposure(write):
    short = [write(f"short_sid2/10003/10003_00_{time}s.npy") for time in ("0.04", "0.1")]
    long = write("long_sid2/10003/10003_00_10s.npy")
    write("short_sid2/00001/00001_00_0.1s.npy")
    write("long_sid2/00001/00001_00_10s.npy")
    found = list(pairs(write.root, "sid", split="test"))
    assert [pair.name for pair in found] == [f"short_sid2/10003/10003_00_{time}s.npy" for time in ("0.04", "0.1")]
    for pair, array in zip(found, short, strict=True):
        assert np.array_equal(pair.degraded, array[..., ::-1])
        assert np.array_equal(pair.clean, long[..., ::-1])


def test_pairs_of_matlab_blocks(write):
    write.root.mkdir()
    blocks = {}
    for side in ("Noisy", "Gt"):
        name = f"Validation{side}BlocksSrgb"
        blocks[side] = np.random.default_rng(len(side)).integers(0, 256, (2, 3, 4, 5, 3), dtype=np.uint8)
        scipy.io.savemat(write.root / f"{name}.mat", {name: blocks[side]})
    found = list(pairs(write.root, "sidd"))
    assert len(found) == 6
    assert found[4].name == "ValidationNoisyBlocksSrgb/0002_02"
    assert np.array_equal(found[4].degraded, blocks["Noisy"][1, 1])
    assert np.array_equal(found[4].clean, blocks["Gt"][1, 1])


def test_pairs_of_dual_pixels_join_the_views_in_sorted_order(write):
    for number in (2, 10):
        left = write(f"test_l/source/P{number}_L.png", dtype="uint16")
        right = write(f"test_r/source/P{number}_R.png", dtype="uint16")
        sharp = write(f"test_c/target/P{number - 1}.png", dtype="uint16")
    first, last = pairs(write.root, "dpdd-dual")
    assert [first.name, last.name] == ["test_l/source/P2_L.png", "test_l/source/P10_L.png"]
    assert last.degraded.shape == (8, 12, 6)
    assert np.array_equal(last.degraded, np.dstack([left[..., ::-1], right[..., ::-1]]))
    assert np.array_equal(last.clean, sharp[..., ::-1])


def test_pairs_of_sots_take_the_middle_of_the_clean_image(write):
    clean = write("indoor/gt/1400.png", size=(12, 16))
    write("indoor/hazy/1400_1.png", size=(8, 12))
    (pair,) = pairs(write.root, "sots-indoor")
    assert np.array_equal(pair.clean, clean[2:10, 2:14, ::-1])


def test_pairs_refuse_two_sizes(write):
    write("eval15/low/1.png")
    write("eval15/high/1.png", size=(8, 13))
    with pytest.raises(ImageError, match=r"low/1\.png: expected the size of .*high/1\.png, got 12x8 and 13x8"):
        list(pairs(write.root))


def test_pairs_name_all_that_lack_partners_before_any_work(write):
    for number in range(4):
        write(f"eval15/low/{number}.png")
    write("eval15/high/0.png")
    with pytest.raises(UsageError, match=r"got 3 without: eval15/low/1\.png; eval15/low/2\.png; eval15/low/3\.png"):
        pairs(write.root)


def test_pairs_in_order_need_lists_of_one_length(write):
    for name in ("test_c/source/1.png", "test_c/source/2.png", "test_c/target/1.png"):
        write(name)
    with pytest.raises(UsageError, match="got 1 without: test: 2 and 1 files"):
        pairs(write.root, "dpdd-single")


def test_pairs_of_clean_sets_say_how_to_degrade(write):
    write("kodim01.png")
    with pytest.raises(UsageError, match="Kodak24, which has clean pictures only; degrade them first"):
        pairs(write.root, "kodak24")


def test_pairs_of_a_split_that_is_not_there(write):
    write("eval15/low/1.png")
    write("eval15/high/1.png")
    with pytest.raises(UsageError, match=r"split: expected one that is in .* \(test\), got 'train'"):
        pairs(write.root, split="train")


@pytest.mark.parametrize("damage", [b"nothing", np.zeros(3, np.uint8), np.zeros((2, 2, 3), np.int64)])
def test_pairs_name_arrays_that_are_no_pictures(write, damage):
    write("long_sid2/10003/a.npy")
    path = write.root / "short_sid2/10003/b.npy"
    path.parent.mkdir(parents=True)
    if isinstance(damage, bytes):
        path.write_bytes(damage)
    else:
        np.save(path, damage)
    with pytest.raises(ImageError, match=r"b\.npy: expected"):
        list(pairs(write.root, "sid"))


def test_pairs_name_matlab_files_without_blocks(write):
    write.root.mkdir()
    for side in ("Noisy", "Gt"):
        scipy.io.savemat(write.root / f"Validation{side}BlocksSrgb.mat", {"other": np.zeros(3)})
    with pytest.raises(ImageError, match="expected a variable ValidationNoisyBlocksSrgb, got other"):
        list(pairs(write.root, "sidd"))


def test_pairs_of_gray_images_have_one_channel(write):
    path = write.root / "eval15/low/1.png"
    write("eval15/high/1.png")
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), np.full((8, 12), 7, np.uint8))
    (pair,) = pairs(write.root)
    assert pair.degraded.shape == (8, 12, 1)
