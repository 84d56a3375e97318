"""Commands as a user types them: results on stdout, one line per error, exit codes 0 / 1 / 2."""

import io
import json

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from restorekit import __version__
from restorekit.cli.main import app


def call(*arguments, **kwargs):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **kwargs)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        PIL.Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(folder / name)
    return folder


@pytest.mark.parametrize("command", ["restore", "compare", "degrade", "score", "bench", "doctor", "models", ""])
def test_every_command_explains_itself(command):
    result = call(*filter(None, [command]), "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_version_is_printed():
    assert call("--version").stdout == f"restorekit {__version__}\n"


def test_restore_names_bad_files_restores_the_rest_and_exits_1(photos, tmp_path):
    (photos / "bad.png").write_bytes(b"nothing")
    result = call("restore", photos, "-o", tmp_path / "out", "-m", "classical:median")
    assert result.exit_code == 1
    assert result.stdout.startswith("2 restored, 1 failed -> ")
    assert result.stderr.count("error:") == 1
    assert "bad.png" in result.stderr
    assert (tmp_path / "out" / "a.png").is_file()
    assert not (tmp_path / "out" / "bad.png").exists()


def test_restore_into_a_place_that_cannot_be_a_folder_says_so_before_any_work(photos, tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = call("restore", photos, "-o", tmp_path / "file" / "out", "-m", "classical:median")
    assert result.exit_code == 2
    assert "expected a folder that can be written" in result.stderr


def test_compare_into_a_place_that_cannot_be_written_is_one_line(photos, tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = call("compare", photos / "a.png", "--degrade", "noise", "-o", tmp_path / "file" / "out")
    assert result.exit_code == 1
    assert result.stderr.count("error:") == 1
    assert "Traceback" not in result.stderr


def test_restore_twice_skips(photos, tmp_path):
    for expected in ("2 restored", "2 skipped"):
        result = call("restore", photos, "-o", tmp_path / "out", "-m", "classical:median")
        assert (result.exit_code, result.stdout.partition(" -> ")[0]) == (0, expected)


def test_restore_json_is_one_document(photos, tmp_path):
    result = call("restore", photos, "-o", tmp_path / "out", "-m", "classical:median", "--json")
    document = json.loads(result.stdout)
    assert (document["restored"], document["failed"]) == (2, 0)
    assert [photo["name"] for photo in document["photos"]] == ["a.png", "b.png"]


def test_restore_pipes_one_photo(photos):
    result = call("restore", "-", "-o", "-", "-m", "classical:median", input=(photos / "a.png").read_bytes())
    assert result.exit_code == 0
    assert PIL.Image.open(io.BytesIO(result.stdout_bytes)).size == (32, 24)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "classical:nml"], "did you mean classical:nlm"),
        (["--depth", "12"], "--depth: expected same, 8 or 16, got '12'"),
        (["--shard", "3/2"], "--shard: expected I/N"),
        (["--format", "gif"], "--format: expected one of"),
        (["--device", "tpu"], "--device: expected one of"),
        (["--strength", "3"], "strength"),
        (["--set", "a=1"], "recipe:NAME"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_restore_refuses_wrong_usage_in_one_line(photos, tmp_path, arguments, message):
    result = call("restore", photos, "-o", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_restore_of_missing_inputs_names_all_of_them(tmp_path):
    result = call("restore", tmp_path / "x.png", tmp_path / "y.png", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "x.png" in result.stderr
    assert "y.png" in result.stderr


def test_restore_of_a_folder_without_photos_says_so(tmp_path):
    (tmp_path / "empty").mkdir()
    result = call("restore", tmp_path / "empty", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "empty" in result.stderr


def test_degrade_repeats_and_writes_its_manifest(photos, tmp_path):
    for output in ("one", "two"):
        result = call("degrade", photos, "-o", tmp_path / output, "--degrade", "noise:sigma=5..50")
        assert result.exit_code == 0, result.stderr
    for name in ("a.png", "b.png", "degradations.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    lines = [json.loads(line) for line in (tmp_path / "one" / "degradations.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == ["a.png", "b.png"]
    assert lines[0]["degrade"] == "noise:sigma=5..50"


@pytest.mark.parametrize(
    ("command", "words"), [("degrade", ["noise:", "haze:"]), ("score", ["psnr:", "--preset kair"])]
)
def test_what_can_be_named_is_listed(command, words):
    result = call(command, "--list")
    assert result.exit_code == 0
    assert all(word in result.stdout for word in words)


def test_degrade_never_replaces_its_input(photos):
    result = call("degrade", photos, "-o", photos, "--degrade", "noise")
    assert result.exit_code == 2
    assert "another place" in result.stderr


def test_degrade_refuses_bad_specs(photos, tmp_path):
    result = call("degrade", photos, "-o", tmp_path / "out", "--degrade", "nosie:sigma=25")
    assert result.exit_code == 2
    assert "did you mean noise" in result.stderr


def test_score_prints_addresses_and_json(photos):
    text = call("score", photos, photos)
    assert text.exit_code == 0
    assert "psnr[rgb|per-image|u8|crop0]" in text.stdout
    document = json.loads(call("score", photos, photos, "--json").stdout)
    assert document["mean"]["psnr[rgb|per-image|u8|crop0]"] == "inf"
    assert set(document["images"]) == {"a.png", "b.png"}


def test_score_lists_unmatched_names(photos, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    PIL.Image.new("RGB", (4, 4)).save(other / "a.png")
    result = call("score", photos, other)
    assert result.exit_code == 2
    assert "b" in result.stderr


def test_models_list_and_show():
    assert "classical:nlm" in call("models", "list").stdout
    names = [record["name"] for record in json.loads(call("models", "list", "--json").stdout)]
    assert "classical:dcp" in names
    assert "sigma" in call("models", "show", "classical:nlm").stdout
    refused = call("models", "show", "classical:nml")
    assert refused.exit_code == 2
    assert "did you mean classical:nlm" in refused.stderr


def test_compare_prints_the_table_and_writes_the_report(photos, tmp_path):
    result = call(
        "compare", photos / "a.png", "--degrade", "noise:sigma=25", "-m", "classical:median", "-o", tmp_path / "out"
    )
    assert result.exit_code == 0, result.stderr
    assert "input" in result.stdout
    assert "classical:median" in result.stdout
    assert (tmp_path / "out" / "index.html").is_file()


def test_bench_keeps_a_heading_for_absent_data(photos, tmp_path):
    suite = tmp_path / "suite.toml"
    suite.write_text(
        'title = "T"\n[[sets]]\nname = "here"\nclean = "photos"\ndegrade = "noise"\n'
        '[[sets]]\nname = "gone"\nclean = "elsewhere"\ndegrade = "noise"\n'
    )
    result = call("bench", suite, "--data", tmp_path, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    summary = (tmp_path / "out" / "summary.md").read_text()
    assert "## here" in summary
    assert "not measured" in summary.partition("## gone")[2]


def test_bench_without_any_data_says_what_it_looked_for(tmp_path):
    result = call("bench", "dev", "--data", tmp_path, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "CBSD68/gt" in result.stderr


def test_doctor_reports_in_text_and_json():
    findings = json.loads(call("doctor", "--json").stdout)
    assert {"check", "status", "detail", "fix"} <= set(findings[0])
