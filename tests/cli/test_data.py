"""``restorekit data`` as a user types it."""

import json

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from restorekit.cli.main import app


def call(*arguments):
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


@pytest.fixture
def lol(tmp_path):
    random = np.random.default_rng(0)
    for side in ("low", "high"):
        folder = tmp_path / "LOL" / "eval15" / side
        folder.mkdir(parents=True)
        for number in range(15):
            pixels = random.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            PIL.Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "LOL"


def test_list_names_sets_and_protocols():
    result = call("list")
    assert result.exit_code == 0
    assert all(word in result.stdout for word in ("lol-v1", "psnr[y-studio|per-image|u8|crop0]", "98 or 100"))


def test_list_json_is_the_catalogue():
    sets = {item["name"]: item for item in json.loads(call("list", "--json").stdout)}
    assert sets["gopro"]["parts"][0]["count"] == [2103]


def test_check_of_a_whole_set_exits_0(lol):
    result = call("check", lol)
    assert result.exit_code == 0
    assert "lol-v1, layout official, by its folder's name, folders, counts" in result.stdout
    assert "not here: train" in result.stdout
    assert result.stdout.endswith("no problems\n")


def test_check_lists_all_problems_and_exits_1(lol):
    (lol / "eval15" / "high" / "3.png").unlink()
    (lol / "eval15" / "low" / "4.png").write_bytes(b"nothing")
    result = call("check", lol)
    assert result.exit_code == 1
    assert result.stdout.endswith("3 problems: 1 count, 1 missing, 1 unreadable\n")
    document = json.loads(call("check", lol, "--json").stdout)
    assert document["ok"] is False
    assert [problem["kind"] for problem in document["problems"]] == ["count", "missing", "unreadable"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "nowhere"], "expected existing files or folders"),
        (["check", "LOL", "--as", "lol"], "did you mean"),
        (["check", "LOL", "--as", "gopro"], "expected GoPro laid out as train/{sequence}/blur/{name}"),
        (["leak", "LOL", "LOL/eval15"], "expected two folders apart"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(lol, monkeypatch, arguments, message):
    monkeypatch.chdir(lol.parent)
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_leak_exits_1_where_there_is_one(lol):
    low, high = lol / "eval15" / "low", lol / "eval15" / "high"
    clean = call("leak", low, high)
    assert (clean.exit_code, clean.stdout) == (0, "0 of 15 test pictures are among 15 training pictures\n")
    PIL.Image.open(low / "3.png").transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT).save(high / "x.png")
    found = call("leak", low, high)
    assert found.exit_code == 1
    assert "x.png is 3.png: 0 of 64 bits, 1.000 alike, mirrored" in found.stdout
    (leak,) = json.loads(call("leak", low, high, "--json").stdout)["leaks"]
    assert (leak["train"], leak["test"], leak["orientation"]) == ("3.png", "x.png", "mirrored")
