"""Folders in, folders out: nothing lost, nothing done twice, one bad file is one line."""

import json
import os

import numpy as np
import PIL.Image
import pytest
import torch

from restorekit.batch import MANIFEST, BatchOptions, restore_files
from restorekit.core.image.files import read_image
from restorekit.core.image.pairs import list_images
from restorekit.core.restorer import InputSpec
from restorekit.errors import UsageError


class Invert:
    """1 - x: easy to check, changes every pixel; counts its calls."""

    name, spec = "invert", InputSpec()

    def __init__(self):
        self.calls = 0

    def to(self, device, precision="float32"):
        return self

    def restore(self, degraded, *, generator=None):
        self.calls += 1
        return 1 - degraded


@pytest.fixture
def folder(tmp_path):
    photos = tmp_path / "photos"
    (photos / "night").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.png", "night/b.png", "c.png"):
        PIL.Image.fromarray(rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)).save(photos / name)
    return photos


def run(folder, output, restorer=None, **options):
    return list(restore_files(restorer or Invert(), list_images([folder]), output, BatchOptions("invert", **options)))


def test_folders_keep_their_tree_and_pixels(folder, tmp_path):
    outcomes = run(folder, tmp_path / "out")
    assert {outcome.status for outcome in outcomes} == {"restored"}
    for name in ("a.png", "night/b.png", "c.png"):
        before, after = (np.asarray(PIL.Image.open(root / name)) for root in (folder, tmp_path / "out"))
        np.testing.assert_array_equal(after, 255 - before)


def test_bad_files_are_named_and_the_run_goes_on(folder, tmp_path):
    (folder / "broken.png").write_bytes(b"not a png")
    (folder / "empty.jpg").write_bytes(b"")
    outcomes = {outcome.name: outcome for outcome in run(folder, tmp_path / "out")}
    assert sorted(name for name, o in outcomes.items() if o.status == "failed") == ["broken.png", "empty.jpg"]
    assert "broken.png" in outcomes["broken.png"].error
    assert sum(o.status == "restored" for o in outcomes.values()) == 3


def test_second_run_skips_what_is_done_and_redoes_what_changed(folder, tmp_path):
    output = tmp_path / "out"
    run(folder, output)
    again = Invert()
    assert {o.status for o in run(folder, output, again)} == {"skipped"}
    assert again.calls == 0
    (output / "a.png").unlink()
    PIL.Image.new("RGB", (5, 5)).save(folder / "c.png")
    os.utime(folder / "c.png", ns=(1, 1))
    statuses = {o.name: o.status for o in run(folder, output)}
    assert statuses == {"a.png": "restored", "c.png": "restored", "night/b.png": "skipped"}


def test_failed_files_are_tried_again(folder, tmp_path):
    (folder / "late.png").write_bytes(b"still being copied")
    run(folder, tmp_path / "out")
    PIL.Image.new("RGB", (4, 4)).save(folder / "late.png")
    assert {o.name: o.status for o in run(folder, tmp_path / "out")}["late.png"] == "restored"


@pytest.mark.parametrize("change", [{"strength": 0.5}, {"seed": 1}, {"depth": "16"}, {"overwrite": True}])
def test_other_settings_redo_everything(folder, tmp_path, change):
    run(folder, tmp_path / "out")
    assert {o.status for o in run(folder, tmp_path / "out", **change)} == {"restored"}


def test_manifest_survives_a_line_cut_off_by_a_crash(folder, tmp_path):
    run(folder, tmp_path / "out")
    manifest = tmp_path / "out" / MANIFEST
    lines = manifest.read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["restored"] * 3
    manifest.write_text("\n".join([*lines[:2], lines[2][:20]]))
    assert sorted(o.status for o in run(folder, tmp_path / "out")) == ["restored", "skipped", "skipped"]


def test_shards_partition_the_photos(folder, tmp_path):
    parts = [{o.name for o in run(folder, tmp_path / f"out{index}", shard=(index, 3))} for index in range(3)]
    assert set.union(*parts) == {"a.png", "night/b.png", "c.png"}
    assert sum(map(len, parts)) == 3


def test_input_is_never_replaced(folder):
    with pytest.raises(UsageError, match=r"another place than the input's, got a\.png"):
        run(folder, folder)


def test_two_inputs_never_share_an_output(folder, tmp_path):
    PIL.Image.new("RGB", (4, 4)).save(folder / "a.jpg")
    with pytest.raises(UsageError, match="several for"):
        run(folder, tmp_path / "out", suffix=".png")


def test_single_file_can_name_its_output(folder, tmp_path):
    outcomes = list(
        restore_files(Invert(), list_images([folder / "a.png"]), tmp_path / "x.tif", BatchOptions("invert"))
    )
    assert outcomes[0].output == tmp_path / "x.tif"
    assert (tmp_path / "x.tif").is_file()
    assert not (tmp_path / MANIFEST).exists()


def test_unwritable_outputs_fail_alone(folder, tmp_path):
    output = tmp_path / "out"
    (output / "a.png").mkdir(parents=True)
    statuses = {o.name: o.status for o in run(folder, output)}
    assert statuses == {"a.png": "failed", "c.png": "restored", "night/b.png": "restored"}


def test_alpha_and_depth_are_kept(tmp_path):
    rgba = np.random.default_rng(0).integers(0, 256, (6, 7, 4), dtype=np.uint8)
    PIL.Image.fromarray(rgba).save(tmp_path / "a.png")
    run(tmp_path / "a.png", tmp_path / "out")
    after = np.asarray(PIL.Image.open(tmp_path / "out" / "a.png"))
    np.testing.assert_array_equal(after[..., 3], rgba[..., 3])
    np.testing.assert_array_equal(after[..., :3], 255 - rgba[..., :3])


def test_errors_that_are_our_bugs_are_not_swallowed(folder, tmp_path):
    class Broken(Invert):
        def restore(self, degraded, *, generator=None):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(folder, tmp_path / "out", Broken())


class Runaway(Invert):
    """Gives noise of twice the full range."""

    name = "runaway"

    def restore(self, degraded, *, generator=None):
        return degraded + 2 * torch.randn(degraded.shape, generator=generator)


@pytest.fixture
def coffee(tmp_path):
    """A folder with one real photo of 128x160 px."""
    photos = tmp_path / "photos"
    photos.mkdir()
    PIL.Image.fromarray(read_image("sample:coffee").samples[:128, :160]).save(photos / "cup.png")
    return photos


def test_a_runaway_photo_keeps_its_input_and_the_manifest_says_so(coffee, tmp_path):
    (outcome,) = run(coffee, tmp_path / "out", Runaway())
    assert outcome.status == "kept"
    before, after = (np.asarray(PIL.Image.open(root / "cup.png")) for root in (coffee, tmp_path / "out"))
    np.testing.assert_array_equal(after, before)
    record = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert (record["status"], record["model"]) == ("kept", "runaway")
    (warning,) = record["warnings"]
    assert warning.startswith("blow-up: ")
    assert warning.endswith("; the input is kept")
    assert [outcome.status for outcome in run(coffee, tmp_path / "out", Runaway())] == ["skipped"]


def test_without_the_guard_it_is_written_as_it_is(coffee, tmp_path):
    (outcome,) = run(coffee, tmp_path / "out", Runaway(), guard=False)
    assert (outcome.status, outcome.warnings) == ("restored", ())
    before, after = (np.asarray(PIL.Image.open(root / "cup.png")) for root in (coffee, tmp_path / "out"))
    assert (before != after).mean() > 0.5


def test_every_outcome_names_its_model(folder, tmp_path):
    assert {outcome.model for outcome in run(folder, tmp_path / "out")} == {"invert"}
    assert {outcome.model for outcome in run(folder, tmp_path / "out")} == {None}  # skipped
