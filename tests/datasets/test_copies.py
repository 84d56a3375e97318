"""A known set is found below a folder of data sets by its names, and never by its layout alone."""

import pytest

from restorekit.datasets.copies import absence, find_copy, find_named_copy, shortfall
from restorekit.datasets.known_sets import find_split
from restorekit.datasets.layout import locate_set
from restorekit.errors import UsageError


def rain(write, folder):
    for side in ("input", "target"):
        write(f"{folder}/{side}/1.png")


@pytest.mark.parametrize("folder", ["rain100l", "Rain100L", "rain_data_test_Light"])
def test_copy_is_found_in_a_folder_of_any_of_its_names(write, folder):
    rain(write, folder)
    found = find_named_copy(write.root, "rain100l")
    assert found is not None
    assert (found.dataset.name, found.folder) == ("rain100l", write.root / folder)


def test_copy_is_found_where_it_is_the_folder_itself(write):
    rain(write, "Rain100H")
    found = find_named_copy(write.root / "Rain100H", "rain100h")
    assert found is not None
    assert found.folder == write.root / "Rain100H"


def test_layouts_that_sets_share_are_no_copy_without_a_name(write):
    rain(write, "pairs")
    for data in (write.root, write.root / "pairs"):
        assert find_named_copy(data, "rain100l") is None
    assert find_copy(write.root / "pairs", "rain100l").folder == write.root / "pairs"  # who asks for one set means it


def test_copy_holds_the_split_alone(write):
    for split in ("our485", "eval15"):
        write(f"LOL/{split}/low/1.png")
        write(f"LOL/{split}/high/1.png")
    (files,) = find_copy(write.root, "lol-v1:test").parts
    assert [item.name for item in files.main] == ["eval15/low/1.png"]


def test_a_folder_of_two_sets_holds_the_one_that_is_there(write):
    write("SOTS/indoor/gt/1400.png")
    write("SOTS/indoor/hazy/1400_1.png")
    assert find_named_copy(write.root, "sots-indoor") is not None
    assert find_named_copy(write.root, "sots-outdoor") is None


@pytest.mark.parametrize(
    ("name", "degraded", "parts"),
    [
        ("hsts-256", "HSTS_256x256/synthetic", "HSTS_256x256/sub_syn_A"),
        ("lol-256", "LOL_256x256/lowlight", "LOL_256x256/sub_lol_A"),
        ("kodak24-256", "Kodak24_256x256/sigma30", "Kodak24_256x256/sigma30_A"),
    ],
)
def test_photos_released_with_zeroair_are_recognised_with_all_that_lies_there(write, name, degraded, parts):
    folder = degraded.partition("/")[0]
    for place in (degraded, parts, f"{folder}/original", f"{folder}/results"):
        write(f"{place}/1.png")
    found = locate_set(write.root / folder)
    assert (found.dataset.name, found.unused) == (name, ())
    assert find_named_copy(write.root, name) is not None


def test_an_absent_set_says_what_was_looked_for(write, tmp_path):
    rain(write, "Rain100L")
    reason = absence(write.root, "gopro:test")
    assert reason == f"no folder GoPro or GOPRO_Large with its test split in {write.root}"
    with pytest.raises(UsageError, match="gopro:test: expected GoPro on disk, got no folder GoPro or GOPRO_Large"):
        find_copy(write.root, "gopro:test")
    with pytest.raises(UsageError, match="expected Rain100H on disk"):
        find_copy(tmp_path / "nowhere", "rain100h")


def test_a_copy_of_another_size_than_the_papers_says_so(write):
    for number in range(14):
        write(f"LOL/eval15/low/{number}.png")
        write(f"LOL/eval15/high/{number}.png")
    assert shortfall(find_copy(write.root, "lol-v1:test")) == "LOL v1: 14 pictures where the papers have 15"
    write("LOL/eval15/low/14.png"), write("LOL/eval15/high/14.png")
    assert shortfall(find_copy(write.root, "lol-v1:test")) == ""


def test_split_is_named_where_a_set_has_several():
    assert find_split("SIDD:val")[1] == "val"
    assert find_split("sots-outdoor")[1] == "test"
    with pytest.raises(
        UsageError, match=r"expected sidd with one of its splits, train, val, got 'none'; write sidd:val"
    ):
        find_split("sidd")
    with pytest.raises(UsageError, match="one of its splits, test, got 'train'; write kodak24:test"):
        find_split("kodak24:train")
    with pytest.raises(UsageError, match="did you mean sid"):
        find_split("sid2:val")
