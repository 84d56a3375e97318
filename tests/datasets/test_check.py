"""A folder is recognised, and everything that is wrong with it is named at once."""

import shutil

import numpy as np
import pytest
import scipy.io

from restorekit.datasets.check import KINDS, check_set
from restorekit.datasets.layout import locate_set
from restorekit.errors import UsageError


def kinds(report):
    return [problem.kind for problem in report.problems]


def test_check_finds_nothing_wrong_with_a_whole_set(write):
    report = check_set(write.lol())
    assert (report.name, report.layout, report.problems, report.absent) == ("lol-v1", "official", (), ("train",))
    assert (report.parts[0].degraded, report.parts[0].clean) == (15, 15)


def test_check_names_everything_at_once(write):
    root = write.lol()
    (root / "eval15/high/3.png").unlink()
    (root / "eval15/low/4.png").unlink()
    (root / "eval15/low/5.png").write_bytes((root / "eval15/low/6.png").read_bytes()[:60])
    write("eval15/low/7.png", size=(8, 16))
    write("eval15/low/8.png", dtype="uint16")
    shutil.copy(root / "eval15/low/9.png", root / "eval15/low/10.png")
    shutil.copy(root / "eval15/high/11.png", root / "eval15/low/11.png")
    shutil.copy(root / "eval15/high/12.png", root / "eval15/high/12.webp")
    write("preview.png")
    report = check_set(root)
    by_kind = {kind: [p.message for p in report.problems if p.kind == kind] for kind in kinds(report)}
    assert set(by_kind) == set(KINDS)
    assert by_kind["count"] == ["test: expected 15 degraded images, got 14"]
    assert by_kind["missing"] == [
        "eval15/high/3: the clean image of eval15/low/3.png is not there",
        "eval15/high/4.png: no degraded image belongs to it",
    ]
    assert by_kind["several"] == [
        "eval15/low/12.png: expected one clean image, got eval15/high/12.png, eval15/high/12.webp"
    ]
    assert by_kind["stray"] == ["preview.png: belongs to no part of the set"]
    assert by_kind["unreadable"][0].startswith("eval15/low/5.png: expected a whole PNG")
    assert by_kind["size"] == ["eval15/low/7.png is 16x8, eval15/high/7.png is 12x8"]
    assert by_kind["depth"] == ["test: expected uint8, that of most, got uint16: eval15/low/8.png"]
    assert [p.names for p in report.problems if p.kind == "duplicate"] == [
        ("eval15/high/11.png", "eval15/low/11.png"),
        ("eval15/low/10.png", "eval15/low/9.png"),
    ]


def test_check_quickly_opens_no_file(write):
    root = write.lol()
    (root / "eval15/low/5.png").write_bytes(b"nothing")
    assert check_set(root, quick=True).problems == ()
    assert kinds(check_set(root)) == ["unreadable"]


def test_check_names_missing_numbers(write):
    for number in (n for n in range(1, 25) if n not in (7, 20)):
        write(f"kodim{number:02d}.png")
    report = check_set(write.root, "kodak24", quick=True)
    assert [problem.names for problem in report.problems] == [(), ("kodim07",), ("kodim20",)]


def test_check_of_sots_pairs_many_with_one_and_takes_the_larger_clean(write):
    for scene in range(1400, 1403):
        write(f"SOTS/indoor/gt/{scene}.png", size=(12, 20))
        for level in range(1, 11):
            write(f"SOTS/indoor/hazy/{scene}_{level}.png", size=(10, 16))
    for folder in ("SOTS", "SOTS/indoor"):
        report = check_set(write.root / folder)
        assert report.name == "sots-indoor"
        assert kinds(report) == ["count", "count"]
        assert (report.parts[0].degraded, report.parts[0].clean) == (30, 3)


def test_check_of_prefixes(write):
    for number in range(1, 101):
        write(f"Rain100H/rainy/rain-{number:03d}.png", size=(2, 2))
        write(f"Rain100H/norain-{number:03d}.png", size=(2, 2))
    (write.root / "Rain100H/norain-042.png").unlink()
    report = check_set(write.root / "Rain100H", quick=True)
    assert (report.name, report.layout) == ("rain100h", "first release")
    assert [problem.names for problem in report.problems] == [(), ("norain-042",)]


def test_check_leaves_the_other_split_of_shared_clean_images_alone(write):
    for number in range(3):
        write(f"test/test-close-ups/{number}.png")
        write(f"GT/{number}.png")
    write("GT/train.png")
    report = check_set(write.root, "hide")
    assert kinds(report) == ["count"]
    assert report.absent == ("train",)


def test_check_counts_the_blocks_of_matlab_files(write):
    write.root.mkdir()
    for side in ("Noisy", "Gt"):
        name = f"Validation{side}BlocksSrgb"
        scipy.io.savemat(write.root / f"{name}.mat", {name: np.zeros((2, 3, 4, 4, 3), np.uint8)})
    report = check_set(write.root)
    assert (report.name, report.parts[0].degraded) == ("sidd", 6)
    assert [problem.message for problem in report.problems] == [
        "val: expected 1280 degraded images, got 6",
        "val: expected 1280 clean images, got 6",
    ]


def test_check_needs_the_depth_of_the_set(write):
    for folder in ("test_l/source", "test_r/source", "test_c/target"):
        write(f"{folder}/1.png")
    report = check_set(write.root, "dpdd-dual")
    assert "test: expected uint16, the set's, got uint8" in report.problems[-1].message


@pytest.mark.parametrize(
    ("folder", "count", "expected"),
    [("Rain100L", 3, "rain100l"), ("any", 98, "test100"), ("Test2800", 9, "test2800")],
)
def test_locate_set_decides_between_sets_of_one_layout(write, folder, count, expected):
    write(f"{folder}/input/0.png", size=(2, 2))
    write(f"{folder}/target/0.png", size=(2, 2))
    for side in ("input", "target"):
        for number in range(1, count):
            (write.root / folder / side / f"{number}.png").touch()
    assert locate_set(write.root / folder).dataset.name == expected


@pytest.mark.parametrize(("split", "count"), [("train", 3), ("test", 3)])
def test_locate_set_reads_the_split_from_the_path(write, split, count):
    for number in range(count):
        write(f"{split}/GoPro/input/{number}.png")
        write(f"{split}/GoPro/target/{number}.png")
    (part,) = locate_set(write.root / split / "GoPro").parts
    assert part.part.split == split


def test_locate_set_asks_where_several_fit(write):
    write("photos/a.png")
    with pytest.raises(UsageError, match=r"one that may be bsd68, cbsd68, .*; say which with --as NAME"):
        locate_set(write.root / "photos")


def test_locate_set_asks_where_several_sets_lie(write):
    write("SOTS/indoor/hazy/1400_1.png")
    write("SOTS/indoor/gt/1400.png")
    write("SOTS/outdoor/hazy/0001_0.8_0.2.png")
    write("SOTS/outdoor/gt/0001.png")
    with pytest.raises(UsageError, match="one that holds sots-indoor, sots-outdoor;"):
        locate_set(write.root / "SOTS")
    assert kinds(check_set(write.root / "SOTS", "sots-outdoor")) == ["count", "count"]


def test_locate_set_says_what_it_wanted(write):
    write("left/a.png")
    write("right/a.png")
    with pytest.raises(UsageError, match=r"expected the layout of a known data set, got 2 files such as left/a\.png"):
        locate_set(write.root)
    with pytest.raises(
        UsageError, match=r"expected LOL v1 laid out as our485/low/\{name\} with our485/high/\{name\}; or"
    ):
        locate_set(write.root, "lol-v1")


def test_locate_set_wants_a_folder(write):
    write("a.png")
    with pytest.raises(UsageError, match="expected the folder of a data set, got a file"):
        locate_set(write.root / "a.png")
    with pytest.raises(UsageError, match="expected existing files or folders"):
        locate_set(write.root / "nowhere")
