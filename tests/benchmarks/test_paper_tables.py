"""The papers' tables are complete, name recipes that exist, and stand on the committed page as they are."""

import re
from pathlib import Path

import pytest
from paper_tables import PAPERS, PaperTable, Recipe, Row, load_tables, main, render

from restorekit import Report
from restorekit.shipped import SCORED
from restorekit.suite import SuiteResult

ROOT = Path(__file__).resolve().parents[2]
TABLES = load_tables()


def recipes() -> dict[str, list[PaperTable]]:
    """Every recipe that a row names, with the tables it stands in."""
    found: dict[str, list[PaperTable]] = {}
    for table in TABLES.values():
        for row in table.rows:
            for recipe in row.recipes:
                found.setdefault(recipe.name, []).append(table)
    return found


def test_every_table_of_the_papers_has_a_file():
    assert {f"ptg_rm_{number:02}" for number in range(1, 11)} <= TABLES.keys()
    assert {
        f"zeroair_{name}" for name in ("hsts", "lol", "kodak24", "stages", "borders", "adversarial")
    } <= TABLES.keys()
    assert "constyle" in TABLES
    assert len(TABLES) == len(list(PAPERS.iterdir())) == 17


def test_every_table_of_ptg_rm_has_the_rows_of_the_paper():
    sizes = {name[-2:]: (len(table.rows), len(table.columns)) for name, table in TABLES.items() if "ptg" in name}
    assert sizes == {
        "01": (18, 4),
        "02": (10, 3),
        "03": (18, 4),
        "04": (6, 4),
        "05": (4, 12),
        "06": (4, 8),
        "07": (12, 9),
        "08": (8, 9),
        "09": (8, 12),
        "10": (6, 2),
    }


def test_recipes_of_the_rows_exist_and_every_recipe_of_a_table_has_its_row():
    named = recipes()
    assert [name for name in named if not (ROOT / "recipes" / f"{name}.toml").is_file()] == []
    of_papers = [*(ROOT / "recipes").glob("refine/table*.toml"), *(ROOT / "recipes").glob("zeroair/hsts*.toml")]
    without = [path for path in of_papers if f"{path.parent.name}/{path.stem}" not in named]
    assert [path.stem for path in without if "no row in the paper" not in path.read_text()] == []


@pytest.mark.parametrize("name", recipes())
def test_scores_that_a_recipe_quotes_stand_in_its_tables(name):
    lines = (ROOT / "recipes" / f"{name}.toml").read_text().splitlines()
    header = " ".join(line for line in lines if line.startswith("#"))
    printed = {
        f"{value:.2f}"
        for table in recipes()[name]
        for row in table.rows
        for value in row.published
        if value != "not available"
    }
    quoted = [number for number in re.findall(r"(\d+\.\d\d) dB", header) if float(number) > 1]  # less: a spread
    assert [number for number in quoted if number not in printed] == []


def test_refined_rows_of_ptg_rm_are_better_than_their_base():
    """True of every number in the paper; a slip in copying would show, and LPIPS runs the other way."""
    for number in (1, 4, 5, 6, 7, 8, 9, 10):
        table = TABLES[f"ptg_rm_{number:02}"]
        bases = {(row.base, row.setting): row.published for row in table.rows if row.method == "base alone"}
        for row in table.rows:
            for column, ours, base in zip(table.columns, row.published, bases[row.base, row.setting], strict=True):
                better = ours <= base if column.metric == "LPIPS" else ours >= base
                assert better, (number, row.label, column)


def test_page_is_what_the_tables_make(capsys):
    main([])
    assert capsys.readouterr().out == (ROOT / "docs" / "paper_tables.md").read_text()


def cells_of(text, mark):
    """The cells of the first row of the page that holds a text."""
    line = next(line for line in text.splitlines() if mark in line)
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_ours_stands_beside_the_published_number_with_its_images(report_of, tmp_path, capsys):
    model = "file:runs/table01_lol_snr_clip/weights.safetensors"
    reports = {"LOL-real": report_of({"input": [10.0, 11.0], model: [24.0, 25.5]}), "SID": report_of({"input": [10.0]})}
    (tmp_path / "result.json").write_text(SuiteResult(title="t", reports=reports).model_dump_json())
    main(["--result", str(tmp_path)])
    cells = cells_of(capsys.readouterr().out, "`refine/table01_lol_snr_clip`")
    assert cells[4:] == ["25.50 **24.75**", "0.892", "23.34", "0.630", "1 of 4 numbers, 2 images"]


def test_a_number_under_another_protocol_is_not_ours(report_of):
    """A set of one name in two results: the one with the column's address counts, whatever the order."""
    studio = SCORED.replace("rgb", "y-studio")
    report = report_of({"input": [10.0], "recipe:refine/table05_rain_restormer_clip": [20.0]})
    luma = Report.model_validate_json(report.model_dump_json().replace(SCORED, studio).replace("20.0", "30.5"))
    tables = {"five": TABLES["ptg_rm_05"]}
    for results in ([{"Rain100H": report}, {"Rain100H": luma}], [{"Rain100H": luma}, {"Rain100H": report}]):
        assert "31.77 **30.50**" in render(tables, results)
    assert "**" not in render(tables, [{"Rain100H": report}]).partition("| method |")[2]


def test_average_is_ours_where_all_that_it_is_of_are(report_of):
    table = TABLES["ptg_rm_05"]
    studio = SCORED.replace("rgb", "y-studio")
    sets = [column.dataset for column in table.columns if column.metric == "PSNR" and column.address]
    reports = {}
    for at, name in enumerate(sets):
        report = report_of({"input": [10.0], "recipe:refine/table05_rain_restormer_clip": [30.0 + at] * (at + 1)})
        reports[name] = Report.model_validate_json(report.model_dump_json().replace(SCORED, studio))
    assert "34.24 **32.00**" in render({"five": table}, [reports])
    assert "**32.00**" in render({"five": table}, [{sets[2]: reports[sets[2]]}])
    assert "34.24 **" not in render({"five": table}, [{sets[2]: reports[sets[2]]}])


def test_model_is_ours_by_recipe_folder_or_name_and_never_by_a_changed_recipe():
    row = Row(
        method="m",
        published=(1.0,),
        recipes=(Recipe(name="a/first", dataset="one"), Recipe(name="a/second"), Recipe(name="a/third", change="x=1")),
        model="classical:dcp",
    )
    assert row.is_made_by("recipe:a/first", "one")
    assert not row.is_made_by("recipe:a/first", "two")
    assert row.is_made_by("file:out/second.safetensors", "two")
    assert row.is_made_by("file:runs/second/weights.safetensors", "two")
    assert not row.is_made_by("file:runs/second_longer/weights.safetensors", "two")
    assert not row.is_made_by("recipe:a/third", "one")
    assert row.is_made_by("classical:dcp", "one")
    assert not row.is_made_by("input", "one")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, "colour\n  Extra inputs are not permitted"),
        ({"arxiv": "paper"}, "arxiv\n  String should match pattern"),
        ({"columns": ({"dataset": "d", "metric": "PSNR", "address": "psnr"},)}, f"got psnr; write {re.escape(SCORED)}"),
        ({"rows": ({"method": "m", "published": (1.0, 2.0), "reason": "r"},)}, "m: expected 1 numbers, got 2"),
        ({"rows": ({"method": "m", "published": (1.0,)},)}, "m: expected recipes, a model, or a reason"),
        ({"rows": ({"method": "m", "published": ("soon",), "reason": "r"},)}, "should be 'not available'"),
        ({"rows": ({"method": "m", "published": (1.0,), "reason": "r"},) * 2}, "told apart, got twice: m"),
        (
            {"rows": ({"method": "m", "published": (1.0,), "recipes": ({"name": "a/b", "dataset": "e"},)},)},
            "expected recipes for d, got e",
        ),
    ],
)
def test_a_table_that_is_not_sound_is_refused(change, message):
    whole = {
        **dict.fromkeys(("title", "paper", "table", "source", "protocol", "reason"), "t"),
        "arxiv": "1234.56789",
        "columns": ({"dataset": "d", "metric": "PSNR"},),
        "rows": ({"method": "m", "published": (1.0,), "reason": "r"},),
    }
    assert render({"t": PaperTable.model_validate(whole)}).count("| m | – | 1.00 | not measured: r |") == 1
    with pytest.raises(ValueError, match=message):
        PaperTable.model_validate(whole | change)


def test_a_file_that_is_not_sound_is_named(tmp_path):
    (tmp_path / "broken.toml").write_text('title = "t"\n')
    with pytest.raises(ValueError, match=r"broken\.toml: .*validation errors for PaperTable"):
        load_tables(tmp_path)
