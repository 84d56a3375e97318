"""Known data sets through ``compare``, ``score`` and ``bench``: pairs, protocols and audits without naming folders."""

import json

import numpy as np
import PIL.Image
import pytest
from skimage.metrics import peak_signal_noise_ratio
from typer.testing import CliRunner

import restorekit
from restorekit import ComparisonOptions, Report
from restorekit.cli.main import app
from restorekit.comparison import rows
from restorekit.suite import load_result

RGB, LUMA = "psnr[rgb|per-image|u8|crop0]", "psnr[y-studio|per-image|u8|crop0]"


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four known sets, small: SOTS outdoor (two hazy versions of one picture), Rain100L, Kodak24, and noise of 10."""
    root, generator = tmp_path_factory.mktemp("data"), np.random.default_rng(0)

    def photo():
        return np.kron(generator.integers(70, 180, (5, 6, 3)), np.ones((8, 8, 1))).astype(np.uint8)

    clean = photo()
    save(root / "SOTS/outdoor/gt/0001.png", clean)
    for level, weight in (("0.8_0.1", 0.8), ("0.8_0.2", 0.6)):
        hazy = np.round(clean * weight + 255 * (1 - weight)).astype(np.uint8)
        save(root / f"SOTS/outdoor/hazy/0001_{level}.png", hazy)
    save(root / "Rain100L/input/1.png", photo())
    save(root / "Rain100L/target/1.png", photo())
    save(root / "Kodak24/kodim01.png", photo())
    for name in ("kodim01", "kodim02"):
        clean = photo()
        noisy = np.clip(clean + generator.normal(0, 10, clean.shape), 0, 255).round().astype(np.uint8)
        save(root / f"Kodak24_256x256/original/{name}.png", clean)
        save(root / f"Kodak24_256x256/sigma30/{name}.png", noisy)
    return root


@pytest.fixture(scope="module", autouse=True)
def one_classical_row():
    """The others cost seconds and are not what these tests are about."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "ALWAYS", ("gamma",))
        yield


def test_compare_takes_pairs_and_protocol_of_a_known_set(data, tmp_path):
    result = call("compare", "--set", "sots-outdoor", "--data", data, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    report = Report.load(tmp_path / "out")
    assert report.images == ("outdoor/hazy/0001_0.8_0.1.png", "outdoor/hazy/0001_0.8_0.2.png")
    assert "SOTS outdoor: 2 pictures where the papers have 500" in report.notes
    address = "psnr[rgb|per-image|float|crop0]"
    assert [metric.address for metric in report.metrics] == [address, "ssim[rgb|per-image|float|crop0|uniform7]"]
    clean, hazy = (
        np.asarray(PIL.Image.open(data / f"SOTS/outdoor/{name}.png")) for name in ("gt/0001", "hazy/0001_0.8_0.2")
    )
    scores = report.find("outdoor/hazy/0001_0.8_0.2.png", "input").scores
    assert scores[address] == pytest.approx(peak_signal_noise_ratio(clean, hazy), abs=1e-4)


def test_python_compares_on_a_known_set_with_metrics_of_ones_own(data):
    options = ComparisonOptions(metrics=["psnr"], photos=1)
    report = restorekit.compare(data / "SOTS", dataset="sots-outdoor:test", options=options)
    assert [metric.address for metric in report.metrics] == [RGB]
    assert report.images == ("outdoor/hazy/0001_0.8_0.1.png",)


def test_clean_pictures_of_a_known_set_are_degraded_here(data):
    report = restorekit.compare(data, dataset="kodak24", degrade="noise:sigma=25,clip=0")
    assert report.images == ("kodim01.png",)
    assert report.run.degradation == "noise:sigma=25,clip=0"
    paired = restorekit.compare(data, dataset="kodak24-256", degrade="noise:sigma=25,clip=0")
    assert paired.images == ("original/kodim01.png", "original/kodim02.png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "sots-outdoor"], "--set: expected --set NAME --data FOLDER, got one of them"),
        (["--data", "."], "--data: expected --set NAME --data FOLDER, got one of them"),
        (["a.png", "--set", "hsts", "--data", "."], "--set hsts: expected no other photos, got a.png"),
        ([], "compare: expected photos, or --set NAME --data FOLDER, got neither"),
        (["--set", "hstss", "--data", "."], "did you mean hsts"),
        (["--set", "lol-v1", "--data", "."], "got 'none'; write lol-v1:test"),
        (
            ["--set", "gopro:test", "--data", "."],
            "gopro:test: expected GoPro on disk, got no folder GoPro or GOPRO_Large",
        ),
        (["--set", "kodak24", "--data", "."], "Kodak24, which has clean pictures only"),
    ],
)
def test_compare_refuses_a_set_that_is_not_told_in_full(data, monkeypatch, arguments, message):
    monkeypatch.chdir(data)
    result = call("compare", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_score_measures_results_on_a_known_set(data, tmp_path):
    for level in ("0.8_0.1", "0.8_0.2"):
        hazy = np.asarray(PIL.Image.open(data / f"SOTS/outdoor/hazy/0001_{level}.png"))
        save(tmp_path / "results" / f"0001_{level}.png", hazy // 2)
    arguments = ("score", tmp_path / "results", "--set", "sots-outdoor", "--data", data)
    found = json.loads(call(*arguments, "--json").stdout)
    clean = np.asarray(PIL.Image.open(data / "SOTS/outdoor/gt/0001.png"))
    restored = np.asarray(PIL.Image.open(tmp_path / "results/0001_0.8_0.1.png"))
    row = found["images"]["outdoor/hazy/0001_0.8_0.1.png"]
    assert row["psnr[rgb|per-image|float|crop0]"] == pytest.approx(peak_signal_noise_ratio(clean, restored), abs=1e-4)
    assert set(json.loads(call(*arguments, "--metric", "psnr", "--json").stdout)["mean"]) == {RGB}
    (tmp_path / "results/0001_0.8_0.1.png").unlink()
    refused = call(*arguments)
    assert refused.exit_code == 2
    assert "0001_0.8_0.1: no result" in refused.stderr


SUITE = """
title = "known"
[[sets]]
name = "rain"
dataset = "rain100l"
[[sets]]
name = "haze"
dataset = "sots-outdoor"
split = "test"
metrics = ["psnr"]
[[sets]]
name = "gone"
dataset = "gopro"
split = "test"
[[sets]]
name = "noise"
dataset = "kodak24-256"
label = "noise:sigma=30"
"""


@pytest.fixture(scope="module")
def bench(data):
    (data / "suite.toml").write_text(SUITE)
    result = call("bench", data / "suite.toml", "--data", data, "-o", data / "out")
    assert result.exit_code == 0, result.stderr
    return data / "out"


def test_bench_measures_each_known_set_under_its_own_protocol(bench):
    reports = load_result(bench).reports
    assert {name: report.metrics[0].address for name, report in reports.items()} == {
        "rain": LUMA,
        "haze": RGB,
        "noise": RGB,
    }
    summary = (bench / "summary.md").read_text()
    assert "not measured: no folder GoPro or GOPRO_Large" in summary.partition("## gone")[2].partition("##")[0]


def test_bench_audits_published_pairs_against_their_label(bench):
    report = load_result(bench).reports["noise"]
    assert [round(item.sigma) for item in report.audits] == [10, 10]
    assert all("expected sigma 30" in item.problems[0] for item in report.audits)
    said = "Audit: 2 of 2 inputs are not what their label says (noise:sigma=30)"
    assert said in (bench / "summary.md").read_text().partition("## noise")[2]


def test_bench_compares_protocols_in_tables_of_their_own(bench, data):
    document = json.loads((bench / "result.json").read_text())
    for report in document["reports"].values():
        for score in report["scores"]:
            score["scores"] = {address: value + 1 for address, value in score["scores"].items()}
    (data / "better.json").write_text(json.dumps(document))
    result = call("bench", data / "suite.toml", "--data", data, "-o", data / "x", "--compare", data / "better.json")
    assert result.exit_code == 0, result.stderr
    tables = result.stdout.partition("## Now, and before")[2].split("| set | model |")[1:]
    names = [{line.split(" | ")[0] for line in table.splitlines() if "| input |" in line} for table in tables]
    assert names == [{"| rain"}, {"| haze"}, {"| noise"}]
    assert all(table.count("- `psnr[") == 1 for table in tables)


def test_bench_lists_what_is_wrong_with_known_sets_before_any_work(data, tmp_path):
    save(tmp_path / "Rain100L/input/1.png", np.zeros((20, 20, 3), np.uint8))
    save(tmp_path / "Rain100L/target/1.png", np.zeros((20, 22, 3), np.uint8))
    save(tmp_path / "SOTS/outdoor/hazy/0001_1_1.png", np.zeros((20, 20, 3), np.uint8))
    save(tmp_path / "SOTS/outdoor/hazy/0002_1_1.png", np.zeros((20, 20, 3), np.uint8))
    save(tmp_path / "SOTS/outdoor/gt/0001.png", np.zeros((20, 20, 3), np.uint8))
    for folder in ("original", "sigma30"):
        save(tmp_path / f"Kodak24_256x256/{folder}/kodim01.png", np.zeros((20, 20, 3), np.uint8))
    suite = tmp_path / "s.toml"
    suite.write_text(SUITE.replace('"noise:sigma=30"', '"nosie"').replace('["psnr"]', '["psnr", "psnr[y-studio]"]'))
    result = call("bench", suite, "--data", tmp_path, "-o", tmp_path / "out")
    assert result.exit_code == 2
    for message in (
        "rain: pairs: expected files that can be read, degraded and clean of one size",
        "input/1.png: 20x20 px, its clean image 22x20 px",
        "haze: psnr: expected one protocol in one table",
        "got 1 without: outdoor/hazy/0002_1_1.png",
        "noise: ",
        "did you mean noise",
    ):
        assert message in result.stderr, message
    assert not (tmp_path / "out").exists()
