"""Which images are taken, under which names, and what is refused before any work."""

from pathlib import Path

import numpy as np
import pytest

from restorekit.core.image import files
from restorekit.core.image.files import write_image
from restorekit.core.image.pairs import NamedInput, Pair, list_alike, list_images, pair_images
from restorekit.errors import UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.JPG", "night/c.tif", "night/deep/d.webp", "phone.heic", "raw.CR2", "old.bmp", "notes.txt"):
        make(tmp_path / name)
    for name in (".hidden.png", ".cache/e.png", "night/._c.tif", "README.md", "Thumbs.db"):
        make(tmp_path / name)
    return tmp_path


def make(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def picture(path: Path, *, width: int = 6, dtype: type = np.uint8) -> Path:
    write_image(path, np.zeros((5, width, 3), dtype))
    return path


def test_list_takes_images_of_a_folder_sorted_and_skips_hidden_files(folder: Path) -> None:
    names = ["a.JPG", "b.png", "night/c.tif", "night/deep/d.webp", "old.bmp", "phone.heic", "raw.CR2"]
    assert list_images([folder]) == [NamedInput(name, folder / name) for name in names]
    assert [item.name for item in list_images([folder], recursive=False)] == [n for n in names if "/" not in n]


def test_list_does_not_depend_on_the_order_of_its_arguments(folder: Path) -> None:
    make(folder / "other" / "z.png")
    assert list_images([folder / "night", folder / "other"]) == list_images([folder / "other", folder / "night"])


def test_list_takes_a_file_given_by_itself_whatever_it_is(folder: Path) -> None:
    assert list_images([folder / "notes.txt"]) == [NamedInput("notes.txt", folder / "notes.txt")]
    assert list_images([folder / ".hidden.png"])[0].name == ".hidden.png"


def test_list_takes_a_file_once(folder: Path) -> None:
    assert len(list_images([folder / "night", str(folder / "night" / "c.tif")])) == 2


def test_list_follows_links_to_folders_but_not_in_circles(tmp_path: Path) -> None:
    make(tmp_path / "data" / "a.png")
    make(tmp_path / "in" / "b.png")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "data")
    (tmp_path / "in" / "again.png").symlink_to(tmp_path / "in" / "b.png")
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in")
    assert [item.name for item in list_images([tmp_path / "in"])] == ["again.png", "b.png", "linked/a.png"]


def test_list_takes_samples() -> None:
    items = list_images(["sample:rocket@256", "sample:coffee"])
    assert [(item.name, str(item.path)) for item in items] == [
        ("coffee.png", "sample:coffee"),
        ("rocket_256.jpg", "sample:rocket@256"),
    ]
    with pytest.raises(UsageError, match="did you mean coffee"):
        list_images(["sample:cofee"])


def test_list_names_are_in_unicode_nfc(tmp_path: Path) -> None:
    make(tmp_path / "u\u0308ber.png")
    item = list_images([tmp_path])[0]
    assert item.name == "\u00fcber.png"
    assert item.path.exists()


def test_list_reports_all_missing_paths_at_once(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"got none at .*/x\.png, .*/y; check the paths"):
        list_images([folder / "x.png", folder / "b.png", folder / "y"])


def test_list_reports_folders_without_images(tmp_path: Path) -> None:
    make(tmp_path / "empty" / "notes.txt")
    with pytest.raises(UsageError, match=r"expected images \(\.png, .*\), got none in .*/empty; check the folder"):
        list_images([tmp_path / "empty"])


def test_list_reports_all_equal_output_names(tmp_path: Path) -> None:
    for name in ("x/a.png", "y/a.png", "x/b.png", "y/b.png", "y/c.png"):
        make(tmp_path / name)
    with pytest.raises(UsageError, match=r"the same for a\.png \(.*x/a\.png, .*y/a\.png\); b\.png \(.*\); give their"):
        list_images([tmp_path / "x", tmp_path / "y"])


def test_photos_measured_together_are_refused_with_everything_that_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png", "n/c.png"):
        picture(tmp_path / name, width=7 + len(name))  # sizes may differ
    assert list_alike([tmp_path]) == list_images([tmp_path])
    picture(tmp_path / "deep.png", dtype=np.uint16)
    picture(tmp_path / "float.tif", dtype=np.float32)
    make(tmp_path / "empty.jpg"), (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "torn.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0heicmif1")
    monkeypatch.setattr(files, "_decode", None)  # whoever decodes a picture fails
    with pytest.raises(UsageError) as caught:
        list_alike([tmp_path])
    head, *lines = str(caught.value).split("\n  ")
    assert head == (
        "images: expected photos that can be read, all of one bit depth, got 6 problems; mend or remove these files"
    )
    assert [line.partition(": ")[0].rpartition("/")[2] for line in lines] == [
        *("empty.jpg", "phone.heic", "text.png", "torn.png"),
        *("deep.png", "float.tif"),
    ]
    assert lines[-2:] == [
        "deep.png: 16 bits a sample, most photos 8 bits a sample",
        "float.tif: samples of floats, most photos 8 bits a sample",
    ]


def test_samples_are_measured_together() -> None:
    assert [item.name for item in list_alike(["sample:rocket@256", "sample:coffee"])] == [
        "coffee.png",
        "rocket_256.jpg",
    ]


def test_pairs_match_two_files_whatever_their_names(tmp_path: Path) -> None:
    left, right = picture(tmp_path / "noisy.jpg"), picture(tmp_path / "original.png")
    assert pair_images(left, right) == [Pair("noisy.jpg", left, right)]


def test_pairs_match_folders_by_relative_name_without_suffix(tmp_path: Path) -> None:
    for name in ("lq/b.jpg", "lq/n/a.1.png", "gt/b.png", "gt/n/a.1.tif"):
        picture(tmp_path / name)
    assert pair_images(tmp_path / "lq", str(tmp_path / "gt")) == [
        Pair("b.jpg", tmp_path / "lq/b.jpg", tmp_path / "gt/b.png"),
        Pair("n/a.1.png", tmp_path / "lq/n/a.1.png", tmp_path / "gt/n/a.1.tif"),
    ]


def test_pairs_report_every_kind_of_problem_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lq/a.png", "lq/b.png", "lq/c.png", "lq/c.jpg", "gt/a.png", "gt/c.png", "gt/d.png", "gt/e.png"):
        picture(tmp_path / name)
    picture(tmp_path / "lq/wide.png"), picture(tmp_path / "gt/wide.png", width=7)
    picture(tmp_path / "lq/deep.tif", dtype=np.uint16), picture(tmp_path / "gt/deep.png", dtype=np.uint16)
    picture(tmp_path / "lq/mixed.png"), picture(tmp_path / "gt/mixed.tif", dtype=np.float32)
    picture(tmp_path / "lq/torn.png"), make(tmp_path / "gt/torn.png")
    monkeypatch.setattr(files, "_decode", None)  # whoever decodes a picture fails
    with pytest.raises(UsageError) as caught:
        pair_images(tmp_path / "lq", tmp_path / "gt")
    head, *lines = str(caught.value).split("\n  ")
    assert "size and bit depth, got 8 problems; mend or remove these files" in head
    assert lines == [
        f"b: only in {tmp_path / 'lq'}",
        f"d: only in {tmp_path / 'gt'}",
        f"e: only in {tmp_path / 'gt'}",
        f"c: several files in {tmp_path / 'lq'}: c.jpg, c.png",
        f"{tmp_path / 'gt/torn.png'}: expected an image, got an empty file; copy or export it again",
        "wide.png: 6x5 px, its clean image 7x5 px",
        "mixed.png: 8 bits a sample, its clean image samples of floats",
        "deep.tif: 16 bits a sample, most pairs 8 bits a sample",
    ]


def test_pairs_tell_twenty_problems_and_count_the_rest(tmp_path: Path) -> None:
    for number in range(23):
        picture(tmp_path / f"lq/{number:02}.png")
    picture(tmp_path / "gt/99.png")
    with pytest.raises(UsageError) as caught:
        pair_images(tmp_path / "lq", tmp_path / "gt")
    head, *lines = str(caught.value).split("\n  ")
    assert "got 24 problems" in head
    assert len(lines) == 21
    assert lines[-1] == "and 4 more"


def test_pairs_of_two_files_are_checked_as_well(tmp_path: Path) -> None:
    left, right = picture(tmp_path / "a.png"), picture(tmp_path / "b.png", width=9)
    with pytest.raises(UsageError, match=r"got 1 problem; .*\n  a\.png: 6x5 px, its clean image 9x5 px"):
        pair_images(left, right)


def test_pairs_refuse_a_file_with_a_folder(tmp_path: Path) -> None:
    left, right = make(tmp_path / "a.png"), make(tmp_path / "gt" / "a.png").parent
    with pytest.raises(UsageError, match="expected two files or two folders"):
        pair_images(left, right)
