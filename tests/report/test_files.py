"""A report's folder: complete, atomic, ours only, and readable again."""

import json
import math
from pathlib import Path

import pytest
from PIL import Image

from restorekit.errors import UsageError
from restorekit.report import Report

NAMES = ["report.json", "table.md", "table.csv", "scores.csv", "sheet.png", "index.html"]


def test_save_writes_every_file_and_leaves_no_other(pictured, tmp_path):
    written = pictured.save(tmp_path / "new" / "out")
    assert [path.name for path in written] == NAMES
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == sorted(NAMES)
    with Image.open(written[4]) as sheet:
        sheet.verify()


def test_save_without_pictures_writes_no_sheet(report_of, tmp_path):
    written = report_of({"input": [20.0], "net": [30.0]}).save(tmp_path)
    assert [path.name for path in written] == [name for name in NAMES if name != "sheet.png"]


def test_save_replaces_an_earlier_report_and_keeps_other_files(pictured, report_of, tmp_path):
    pictured.save(tmp_path)
    (tmp_path / "mine.txt").write_text("mine")
    report_of({"input": [20.0], "net": [31.0]}).save(tmp_path)
    assert not (tmp_path / "sheet.png").exists()  # the old sheet would show other pictures
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert "31.00" in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize("name", ["index.html", "report.json"])
def test_save_refuses_a_folder_with_files_of_someone_else(report_of, tmp_path, name):
    (tmp_path / name).write_text("{}")
    with pytest.raises(UsageError, match=f"expected an empty folder or an earlier report, got {name} not written by"):
        report_of({"input": [20.0]}).save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "{}"


def test_save_refuses_a_file_as_folder(report_of, tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(UsageError, match=r"out: expected a folder, got a file; choose another name"):
        report_of({"input": [20.0]}).save(tmp_path / "out")


def test_save_that_fails_midway_leaves_whole_files_only(report_of, tmp_path, monkeypatch):
    report_of({"input": [20.0], "net": [30.0]}).save(tmp_path)
    before = (tmp_path / "table.md").read_bytes()
    replace = Path.replace

    def failing(self, target):
        if Path(target).name == "table.md":
            raise OSError("disk full")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="disk full"):
        report_of({"input": [20.0], "net": [99.0]}).save(tmp_path)
    assert (tmp_path / "table.md").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_load_returns_what_was_saved(pictured, tmp_path):
    pictured.save(tmp_path)
    for path in (tmp_path, tmp_path / "report.json"):
        assert Report.load(path).model_dump() == pictured.model_dump()


def test_saved_record_is_strict_json_with_the_table_in_it(report_of, tmp_path):
    report_of({"input": [20.0], "net": [math.inf]}).save(tmp_path)

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    record = json.loads((tmp_path / "report.json").read_text(), parse_constant=refuse)
    assert record["format"] == "restorekit-report/1"
    assert record["table"][1]["mean"] == "Infinity"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected a report, got no such file"),
        ("not json", "expected JSON, got"),
        ("[1]", "expected a report of format restorekit-report/1"),
        ('{"format": "restorekit-report/1"}', "expected a valid run, got Field required"),
    ],
)
def test_load_says_what_is_wrong(tmp_path, content, message):
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    with pytest.raises(UsageError, match=message):
        Report.load(tmp_path)
