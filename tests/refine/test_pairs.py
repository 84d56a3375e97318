"""Dual-pixel pairs in folders: matched by name or place, cut to crops whose views stay where they belong."""

import pytest
import torch

from restorekit.core.degradation.chain import parse_degradation
from restorekit.errors import UsageError
from restorekit.refine.pair_batches import PairBatches
from restorekit.refine.pairs import match_scenes
from restorekit.training import TrainingSettings
from restorekit.training.batches import CropBatches
from restorekit.training.pool import open_pool

CPU = torch.device("cpu")


def crops_of(folder, tmp_path, **settings):
    options = {"steps": 4, "batch_size": 8, "crop_px": 16, "workers": 0, **settings}
    pool = open_pool(folder, cache=tmp_path / "cache")
    return PairBatches(CropBatches(pool, parse_degradation("none"), TrainingSettings(**options), 0))


def test_scenes_are_matched_by_name_or_by_place() -> None:
    names = [
        "inputL/1.png",
        "inputL/2.png",
        "inputR/1.tif",
        "inputR/2.tif",
        "inputC/9.png",
        "target/x.png",
        "target/y.png",
    ]
    assert match_scenes(names, "train", "here") == [(0, 2, 5), (1, 3, 6)]
    assert match_scenes(names, "restore", "here") == [(0, 2), (1, 3)]
    released = ["train_l/source/b.png", "train_r/source/b.png", "train_c/target/c.png", "train_c/source/b.png"]
    assert match_scenes(released, "train", "here") == [(0, 1, 2)]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["a.png"],
            r"^here: expected dual-pixel pairs in inputL and inputR, or test_l/source and test_r/source, got no",
        ),
        (["inputL/a.png"], r"got no photo in inputR; rename or link them"),
        (
            ["inputL/a.png", "inputL/b.png", "inputR/b.png", "inputR/c.png"],
            r"expected each scene in inputL, inputR, got a not in inputR, c not in inputL; add or remove files",
        ),
        (["inputL/a.png", "inputR/b.png", "inputR/c.png"], r"got a not in inputR, b not in inputL, c not in inputL;"),
    ],
)
def test_views_without_partner_are_named(names, message) -> None:
    with pytest.raises(UsageError, match=message):
        match_scenes(names, "restore", "here")


def test_crops_hold_both_views_and_their_sharp_photo(folder, tmp_path) -> None:
    """Of every crop: the left view is the sharp one moved to one side and darker, the right one to the other side; a
    mirrored crop has them exchanged, so that this stays true.
    """
    seen = set()
    for batch in crops_of(folder, tmp_path).steps(0, 4, device=CPU):
        assert batch["degraded"].shape == (8, 6, 16, 16)
        left, right, clean = batch["degraded"][:, :3], batch["degraded"][:, 3:], batch["clean"]
        for index in range(8):
            dark = [bool(view[index].mean() < clean[index].mean() - 4 / 255) for view in (left, right)]
            offset = {True: 7 / 255, False: 0.0}
            torch.testing.assert_close(left[index, :, :, :-1] + offset[dark[0]], clean[index, :, :, 1:])
            torch.testing.assert_close(right[index, :, :, 1:] + offset[dark[1]], clean[index, :, :, :-1])
            seen.add(tuple(dark))
    assert seen == {(True, False), (False, True)}  # straight, and mirrored with the views exchanged


def test_crops_of_a_step_do_not_depend_on_where_a_run_starts(folder, tmp_path) -> None:
    whole = list(crops_of(folder, tmp_path).steps(0, 3, device=CPU))
    (resumed,) = crops_of(folder, tmp_path).steps(2, 3, device=CPU)
    assert all(torch.equal(whole[2][name], resumed[name]) for name in ("clean", "degraded"))
    assert not torch.equal(whole[1]["clean"], whole[2]["clean"])


def test_scenes_of_two_sizes_are_refused_and_small_ones_left_out(folder, scene, write, tmp_path) -> None:
    for side, pixels in scene(12, 40).items():
        write(folder / side / "c.png", pixels)
    assert len(list(crops_of(folder, tmp_path).steps(0, 4, device=CPU))) == 4
    write(folder / "others" / "large.png", scene(64, 64)["target"])
    with pytest.raises(
        UsageError, match=r"crop_px: expected at most 24, the largest shorter side of the scenes, got 32"
    ):
        crops_of(folder, tmp_path, crop_px=32)
    write(folder / "inputR" / "b.png", scene(24, 44)["inputR"])
    with pytest.raises(
        UsageError, match=r"one size in each scene, got inputL/b.png 40x24, inputR/b.png 44x24, target/b"
    ):
        crops_of(folder, tmp_path)
