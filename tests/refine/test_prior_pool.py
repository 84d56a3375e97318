"""Crops kept with their prior: made once, the same however often the making was stopped, drawn evenly."""

import cv2
import numpy as np
import pytest
import torch

from restorekit.core.degradation.chain import parse_degradation
from restorekit.errors import RestorekitError
from restorekit.refine import prior_pool
from restorekit.refine.prior_pool import open_prior_pool
from restorekit.training.batches import Batches, CropBatches
from restorekit.training.pool import open_pool
from restorekit.training.settings import TrainingSettings

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "a.png"), pixels)
    settings = TrainingSettings(steps=6, batch_size=2, crop_px=16, workers=0)
    pool = open_pool(folder, cache=tmp_path_factory.mktemp("cache"))
    return CropBatches(pool, parse_degradation("noise:sigma=5..50"), settings, 0)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(prior_pool, "SHARD_CROPS", 4)


class Extras:
    """A prior of two numbers and a base, which count how often they are asked."""

    def __init__(self, gain=1.0):
        self.gain = gain
        self.asked = 0

    def __call__(self, batch):
        self.asked += len(batch["degraded"])
        degraded = batch["degraded"]
        means = degraded.mean(dim=(1, 2, 3))
        return {"prior": torch.stack([means, self.gain - means], dim=1), "restored": degraded / 2}


def opened(fresh, folder, extras=None, *, crops=12, notes=None, names=("mean",)):
    told = notes.append if notes is not None else lambda _: None
    return open_prior_pool(
        fresh, crops=crops, folder=folder, extras=extras or Extras(), names=names, device=CPU, on_note=told
    )


def all_of(batches, steps):
    return list(batches.steps(0, steps, device=CPU))


@pytest.mark.usefixtures("small_shards")
def test_pool_holds_the_first_crops_and_what_is_said_of_them(fresh, tmp_path) -> None:
    pool = opened(fresh, tmp_path)
    assert isinstance(pool, Batches)
    assert len(pool) == 12
    drawn = {content(row[0]): row for batch in all_of(pool, 6) for row in zip(*rows(batch), strict=True)}
    for batch in fresh.steps(0, 6, device=CPU):
        for clean, degraded in zip(batch["clean"], batch["degraded"], strict=True):
            kept_clean, kept, restored, prior = drawn[content(clean)]
            assert torch.equal(kept_clean, clean)
            torch.testing.assert_close(kept, degraded, atol=1e-3, rtol=1e-3)
            assert torch.equal(kept, kept.half().float())
            torch.testing.assert_close(restored, kept / 2, atol=1e-3, rtol=1e-3)
            torch.testing.assert_close(prior, torch.stack([kept.mean(), 1 - kept.mean()]))


def content(image):
    return image.contiguous().numpy().tobytes()


def rows(batch):
    return batch["clean"], batch["degraded"], batch["restored"], batch["prior"]


@pytest.mark.usefixtures("small_shards")
def test_every_crop_is_drawn_once_an_epoch_in_another_order(fresh, tmp_path) -> None:
    batches = all_of(opened(fresh, tmp_path), 12)
    orders = [[float(c.mean()) for b in part for c in b["clean"]] for part in (batches[:6], batches[6:])]
    assert len(set(orders[0])) == 12
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]


@pytest.mark.usefixtures("small_shards")
def test_batch_of_a_step_does_not_depend_on_where_a_run_starts(fresh, tmp_path) -> None:
    pool = opened(fresh, tmp_path)
    whole = all_of(pool, 8)
    resumed = list(opened(fresh, tmp_path).steps(5, 8, device=CPU))
    for first, second in zip(whole[5:], resumed, strict=True):
        assert first.keys() == second.keys() == {"clean", "degraded", "choice", "prior", "restored"}
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert {first[name].dtype for name in first} == {torch.float32, torch.int64}


@pytest.mark.usefixtures("small_shards")
def test_prior_is_asked_once_for_each_crop(fresh, tmp_path) -> None:
    extras, notes = Extras(), []
    opened(fresh, tmp_path, extras, notes=notes)
    assert extras.asked == 12
    assert [note.rpartition(": ")[2] for note in notes] == ["part 1 of 3", "part 2 of 3", "part 3 of 3"]
    opened(fresh, tmp_path, extras, notes=notes)
    assert extras.asked == 12 + prior_pool.PROBED
    assert len(notes) == 3


@pytest.mark.usefixtures("small_shards")
def test_stopped_build_goes_on_and_gives_the_same(fresh, tmp_path) -> None:
    class Stopping(Extras):
        def __call__(self, batch):
            if self.asked >= 6:
                raise KeyboardInterrupt
            return super().__call__(batch)

    with pytest.raises(KeyboardInterrupt):
        opened(fresh, tmp_path / "stopped", Stopping())
    files = [path.name for path in (tmp_path / "stopped").rglob("*") if path.is_file()]
    assert files == ["00000-of-00003.safetensors"]
    extras = Extras()
    resumed = opened(fresh, tmp_path / "stopped", extras)
    assert extras.asked == prior_pool.PROBED + 8
    for first, second in zip(all_of(resumed, 6), all_of(opened(fresh, tmp_path / "whole"), 6), strict=True):
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_pool_of_another_prior_is_made_anew(fresh, tmp_path) -> None:
    opened(fresh, tmp_path, crops=4)
    notes = []
    pool = opened(fresh, tmp_path, Extras(gain=2.0), crops=4, notes=notes)
    assert "made with another prior or base" in notes[0]
    (batch,) = pool.steps(0, 1, device=CPU)
    torch.testing.assert_close(batch["prior"].sum(dim=1), torch.full((2,), 2.0))


def test_damaged_pool_is_made_anew(fresh, tmp_path) -> None:
    opened(fresh, tmp_path, crops=4)
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(b"short")
    assert len(opened(fresh, tmp_path, crops=4)) == 4


def test_other_names_make_another_pool(fresh, tmp_path) -> None:
    for names in (("a",), ("b",), ("a",)):
        opened(fresh, tmp_path, crops=4, names=names)
    assert len(list(tmp_path.iterdir())) == 2


def test_cache_without_room_is_told(fresh, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RestorekitError, match=r"could not be written: .*; choose a folder with room by --cache"):
        opened(fresh, tmp_path / "file", crops=4)
