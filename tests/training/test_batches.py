from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from restorekit.core.degradation.chain import parse_degradation
from restorekit.errors import UsageError
from restorekit.training.batches import CropBatches
from restorekit.training.pool import PhotoPool, open_pool
from restorekit.training.settings import TrainingSettings

CPU = torch.device("cpu")


def batches_of(pool: PhotoPool, spec: str = "noise:sigma=25", *, seed: int = 0, process: int = 0, **settings: object):
    checked = TrainingSettings.model_validate({"batch_size": 6, "crop_px": 16, **settings})
    return CropBatches(pool, parse_degradation(spec), checked, seed, process=process)


def same(first, second) -> bool:
    return all(torch.equal(a[key], b[key]) for a, b in zip(first, second, strict=True) for key in a)


def test_batch_depends_on_seed_step_and_process_only(pool: PhotoPool) -> None:
    whole = list(batches_of(pool).steps(0, 6, device=CPU))
    torch.manual_seed(99)
    assert same(list(batches_of(pool).steps(4, 6, device=CPU)), whole[4:])
    for other in (batches_of(pool, seed=1), batches_of(pool, process=1)):
        assert not same(list(other.steps(0, 1, device=CPU)), whole[:1])
    assert not torch.equal(whole[0]["clean"], whole[1]["clean"])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("where", ["loop", "workers"])
def test_workers_give_the_batches_of_the_loop(pool: PhotoPool, where: str) -> None:
    spec = "noise:sigma=5..50|jpeg:quality=40"
    alone = list(batches_of(pool, spec, workers=0).steps(2, 5, device=CPU))
    helped = list(batches_of(pool, spec, workers=2, degrade_in=where).steps(2, 5, device=CPU))
    assert same(alone, helped)


def test_crops_are_parts_of_a_photo_turned_or_mirrored(pool: PhotoPool) -> None:
    (batch,) = batches_of(pool, "none", batch_size=48, crop_px=8).steps(0, 1, device=CPU)
    assert batch["clean"].shape == (48, 3, 8, 8)
    used = set()
    for crop in (255 * batch["clean"]).round().to(torch.uint8).permute(0, 2, 3, 1).numpy():
        found = [
            symmetry
            for symmetry in range(8)
            if any(contains(pool.pixels(index), untwisted(crop, symmetry)) for index in range(len(pool)))
        ]
        assert len(found) == 1
        used.update(found)
    assert used == set(range(8))


def untwisted(crop: np.ndarray, symmetry: int) -> np.ndarray:
    return np.rot90(crop[:, ::-1] if symmetry >= 4 else crop, -symmetry % 4)


def contains(photo: np.ndarray, crop: np.ndarray) -> bool:
    windows = np.lib.stride_tricks.sliding_window_view(photo, crop.shape)
    return bool((windows == crop).all(axis=(-3, -2, -1)).any())


def test_crops_are_uniform_over_all_positions(tmp_path: Path) -> None:
    """One photo has 1 x 3 positions, the other 1 x 1: each of the four is drawn a quarter of the time."""
    for name, width in {"wide.png": 10, "square.png": 8}.items():
        columns = np.arange(width, dtype=np.uint8) * 10 + (100 if name == "square.png" else 0)
        cv2.imwrite(str(tmp_path / name), np.broadcast_to(columns[None, :, None], (8, width, 3)))
    pool = open_pool(tmp_path, cache=tmp_path / "cache")
    (batch,) = batches_of(pool, "none", batch_size=4000, crop_px=8).steps(0, 1, device=CPU)
    lowest = (255 * batch["clean"]).round().amin(dim=(1, 2, 3))
    counts = [int((lowest == level).sum()) for level in (0, 10, 20, 100)]
    assert sum(counts) == 4000
    assert all(abs(count - 1000) < 5 * (4000 * 0.25 * 0.75) ** 0.5 for count in counts)


def test_clean_share_leaves_crops_undegraded_and_says_so(pool: PhotoPool) -> None:
    (batch,) = batches_of(pool, "noise:sigma=25|jpeg", batch_size=400, clean_share=0.25).steps(0, 1, device=CPU)
    untouched = (batch["degraded"] == batch["clean"]).all(dim=(1, 2, 3))
    assert torch.equal(untouched, batch["choice"] == -1)
    assert abs(int(untouched.sum()) - 100) < 5 * (400 * 0.25 * 0.75) ** 0.5
    noisy = batch["choice"] == 0
    deviation = (batch["degraded"] - batch["clean"])[noisy].std()
    assert deviation == pytest.approx(25 / 255, rel=0.03)


def test_gray_crops_are_the_luma_of_the_coloured_ones(pool: PhotoPool) -> None:
    spec = "noise:sigma=25,clip=0,colour=gray"
    settings = {"clean_share": 0.3, "view_px": 8}
    (colour,) = batches_of(pool, "none", **settings).steps(0, 1, device=CPU)
    (gray,) = batches_of(pool, spec, gray=True, **settings).steps(0, 1, device=CPU)
    luma = (colour["clean"] * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1)
    for plane in gray["clean"].unbind(1):
        torch.testing.assert_close(plane, luma, atol=0.6 / 255, rtol=0)
    for name in ("degraded", "view"):
        assert torch.equal(gray[name][:, 0], gray[name][:, 2])
    noise = (gray["degraded"] - gray["clean"])[gray["choice"] >= 0]
    assert float(noise.std()) == pytest.approx(25 / 255, rel=0.1)


def test_every_scale_is_cropped(photos: Path, tmp_path: Path) -> None:
    pool = open_pool(photos, (1.0, 0.5), cache=tmp_path)
    assert sorted({view.scale for view in pool.views}) == [0.5, 1.0]
    assert len(list(batches_of(pool, "none").steps(0, 2, device=CPU))) == 2


def test_crop_larger_than_every_photo_is_refused(pool: PhotoPool, settings: TrainingSettings) -> None:
    with pytest.raises(
        UsageError, match="expected at most 44, the largest shorter side of the photos at scale 1, got 48"
    ):
        batches_of(pool, crop_px=48)


def test_photos_smaller_than_a_crop_are_left_out(make_batches: Callable[..., CropBatches]) -> None:
    batches = make_batches(TrainingSettings(crop_px=44, batch_size=8))
    (batch,) = batches.steps(0, 1, device=CPU)
    assert torch.equal(batch["clean"][:, 0], batch["clean"][:, 1])  # only the gray photo is 44 x 44


def test_views_are_the_whole_photo_degraded_like_its_crop(pool: PhotoPool) -> None:
    (clean,) = batches_of(pool, "none", view_px=12).steps(0, 1, device=CPU)
    thumbnails = [
        cv2.resize(pool.pixels(index), (12, 12), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        for index in range(len(pool))
    ]
    assert clean["view"].shape == (6, 3, 12, 12)
    for view in clean["view"].permute(0, 2, 3, 1).numpy():
        assert min(float(np.abs(view - thumbnail).max()) for thumbnail in thumbnails) < 1e-6
    (dark,) = batches_of(pool, "low_light:shot=0,read=0,black=0,quantise=0", view_px=12).steps(0, 1, device=CPU)
    ratios = dark["degraded"].mean(dim=(2, 3)) / dark["clean"].mean(dim=(2, 3))
    view_ratios = dark["view"].mean(dim=(2, 3)) / clean["view"].mean(dim=(2, 3))
    assert float(torch.corrcoef(torch.stack([ratios.flatten(), view_ratios.flatten()]))[0, 1]) > 0.9


def test_views_are_random_windows_of_at_least_the_share_asked_for(tmp_path: Path) -> None:
    """Light rises along both sides, so that the mean of a window and its slopes tell its place and its sides."""
    rows, columns = np.mgrid[0:200, 0:200]
    ramps = np.stack([rows, columns, np.zeros_like(rows)], axis=2).astype(np.uint8)
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos" / "ramps.png"), ramps[:, :, ::-1])
    pool = open_pool(tmp_path / "photos", (1.0,), cache=tmp_path)
    batches = batches_of(pool, "none", view_px=10, view_share=0.4, batch_size=64)
    (first,), (again,) = (list(batches.steps(0, 1, device=CPU)) for _ in range(2))
    assert torch.equal(first["view"], again["view"])
    lengths = torch.stack(
        [(first["view"][:, plane].diff(dim=1 + plane).mean(dim=(1, 2)) * 10 * 255) for plane in range(2)]
    )
    assert lengths.min() > 75
    assert lengths.max() < 205
    assert lengths.std(dim=1).min() > 20
    assert torch.corrcoef(lengths)[0, 1].abs() < 0.5  # height and width are drawn each for itself
    centres = first["view"][:, :2].mean(dim=(2, 3)) * 255
    assert centres.std(dim=0).min() > 10


def test_views_do_not_change_the_crops(pool: PhotoPool) -> None:
    (plain,) = batches_of(pool).steps(0, 1, device=CPU)
    (viewed,) = batches_of(pool, view_px=8).steps(0, 1, device=CPU)
    assert "view" not in plain
    assert all(torch.equal(plain[key], viewed[key]) for key in plain)
