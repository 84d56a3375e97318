"""Which images are taken, under which names, and what is refused before any work."""

from pathlib import Path

import pytest

from restorekit.core.image.pairs import NamedInput, Pair, list_images, pair_images
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


def test_pairs_match_two_files_whatever_their_names(tmp_path: Path) -> None:
    left, right = make(tmp_path / "noisy.jpg"), make(tmp_path / "original.png")
    assert pair_images(left, right) == [Pair("noisy.jpg", left, right)]


def test_pairs_match_folders_by_relative_name_without_suffix(tmp_path: Path) -> None:
    for name in ("lq/b.jpg", "lq/n/a.1.png", "gt/b.png", "gt/n/a.1.tif"):
        make(tmp_path / name)
    assert pair_images(tmp_path / "lq", str(tmp_path / "gt")) == [
        Pair("b.jpg", tmp_path / "lq/b.jpg", tmp_path / "gt/b.png"),
        Pair("n/a.1.png", tmp_path / "lq/n/a.1.png", tmp_path / "gt/n/a.1.tif"),
    ]


def test_pairs_report_every_problem_at_once(tmp_path: Path) -> None:
    for name in ("lq/a.png", "lq/b.png", "lq/c.png", "lq/c.jpg", "gt/a.png", "gt/c.png", "gt/d.png", "gt/e.png"):
        make(tmp_path / name)
    with pytest.raises(UsageError) as caught:
        pair_images(tmp_path / "lq", tmp_path / "gt")
    message = str(caught.value)
    assert "got 4 without a match" in message
    for part in ("b only in", "d only in", "e only in", "c is several files in", "c.jpg, c.png"):
        assert part in message


def test_pairs_refuse_a_file_with_a_folder(tmp_path: Path) -> None:
    left, right = make(tmp_path / "a.png"), make(tmp_path / "gt" / "a.png").parent
    with pytest.raises(UsageError, match="expected two files or two folders"):
        pair_images(left, right)
