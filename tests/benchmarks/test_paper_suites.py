"""The suites of the papers measure the columns of the papers' tables; from a data set on disk to a filled row."""

import numpy as np
import PIL.Image
import pytest
from paper_tables import load_tables, main
from skimage.metrics import peak_signal_noise_ratio
from typer.testing import CliRunner

from restorekit import restore
from restorekit.cli.main import app
from restorekit.core.metric.protocol import format_address, parse_address
from restorekit.recipe import list_packaged
from restorekit.suite import load_suite

TABLES = load_tables()
SUITES = [name for name in list_packaged("suites") if name.startswith("papers/")]


@pytest.mark.parametrize("name", TABLES)
def test_columns_with_an_address_are_measured_by_the_tables_suite(name):
    table = TABLES[name]
    suite = load_suite(table.suite)
    measured = {
        (entry.name, format_address(*parse_address(text))) for entry in suite.sets for text in suite.metrics_of(entry)
    }
    wanted = {(column.dataset, column.address) for column in table.columns if column.address}
    assert wanted
    assert wanted <= measured


@pytest.mark.parametrize("name", SUITES)
def test_every_set_of_a_papers_suite_is_a_column(name):
    columns = {column.dataset for table in TABLES.values() if table.suite == name for column in table.columns}
    suite = load_suite(name)
    assert {entry.name for entry in suite.sets} <= columns
    assert all(entry.known for entry in suite.sets)


@pytest.fixture
def samples(tmp_path):
    """HSTS as the authors of ZeroAIR lay it out, small and of three photos; hazy by a known amount."""
    generator = np.random.default_rng(0)
    pairs = []
    for name in ("0586", "1352", "1381"):
        clean = np.kron(generator.integers(20, 160, (5, 5, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        hazy = np.round(0.7 * clean + 0.3 * 230).astype(np.uint8)
        for folder, picture in (("original", clean), ("synthetic", hazy), ("results", clean)):
            path = tmp_path / "test_samples" / "HSTS_256x256" / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(picture).save(path)
        pairs.append((clean, hazy))
    return tmp_path / "test_samples", pairs


def test_a_data_set_fills_the_row_of_its_table(samples, tmp_path, capsys):
    """Suite, bench, result, table: with the data of one set of the suite, and none of the others."""
    data, pairs = samples
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["bench", "papers/zeroair", "--data", str(data), "-o", str(out)])
    assert result.exit_code == 0, result.stderr
    summary = (out / "summary.md").read_text()
    assert "not measured: no folder lol-256 or LOL_256x256 with its test split in" in summary.partition("## LOL")[2]
    main(["--result", str(out)])
    page = capsys.readouterr().out
    section = page.partition("## ZeroAIR: haze, HSTS")[2].partition("\n## ")[0]
    (row,) = (line for line in section.splitlines() if line.startswith("| DCP "))
    assert row.endswith("| 2 of 2 numbers, 3 images |")
    expected = np.mean(
        [peak_signal_noise_ratio(clean, restore(hazy, "classical:dcp"), data_range=255) for clean, hazy in pairs]
    )
    assert f"| 18.42 **{expected:.2f}** |" in row
    (ours,) = (line for line in section.splitlines() if "`zeroair/hsts_dehaze`" in line)
    assert ours.endswith("| 22.29 | 0.877 | not measured: data and the prior's weights absent |")
    noisy = page.partition("## ZeroAIR: noise, Kodak24")[2].partition("\n## ")[0]
    (line,) = (line for line in noisy.splitlines() if line.startswith("| noisy input |"))
    assert line.endswith("| not measured: data absent |")
