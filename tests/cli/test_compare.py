"""``restorekit compare``: files that are asked for, and an interruption that costs nothing."""

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from restorekit import Report
from restorekit.cli.main import app
from restorekit.comparison import run


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "a.png"
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(path)
    return path


def test_compare_writes_latex_when_asked_for(photo, tmp_path):
    result = call("compare", photo, "--degrade", "noise", "--latex", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert r"\toprule" in (tmp_path / "out" / "table.tex").read_text()


def test_compare_refuses_latex_without_a_folder_for_it(photo):
    result = call("compare", photo, "--degrade", "noise", "--latex")
    assert result.exit_code == 2
    assert "--latex: expected -o FOLDER to write to, got none" in result.stderr


def test_compare_refuses_a_foreign_folder_before_any_work(photo, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "index.html").write_text("mine")
    result = call("compare", photo, "--degrade", "noise", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "expected an empty folder or an earlier report" in result.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["index.html"]


def test_compare_goes_on_after_an_interruption_and_forgets_when_done(photo, tmp_path, monkeypatch):
    command = ("compare", photo, "--degrade", "noise:sigma=25", "-o", tmp_path / "out")
    restore, done = run.restore_row, []

    def interrupted(row, *arguments, **keywords):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(row.info.name)
        return restore(row, *arguments, **keywords)

    def counted(row, *arguments, **keywords):
        done.append(row.info.name)
        return restore(row, *arguments, **keywords)

    monkeypatch.setattr(run, "restore_row", interrupted)
    assert call(*command).exit_code == 130
    monkeypatch.setattr(run, "restore_row", counted)
    assert call(*command).exit_code == 0
    assert len(done) == len(set(done)) == 12  # each row once, over both runs
    assert not list((tmp_path / "out").glob(".*"))
    resumed = Report.load(tmp_path / "out")
    assert call(*command).exit_code == 0
    again = Report.load(tmp_path / "out")
    assert [score.scores for score in again.scores] == [score.scores for score in resumed.scores]
