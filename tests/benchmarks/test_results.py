"""Result files: what a row says, the committed schema, the committed results, and the tables made from them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import results
import tables
from pydantic import ValidationError
from results import Result, Row, Run, absent, measured

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def make_result(*rows: Row, smoke: bool = False) -> Result:
    run = Run.here("python benchmarks/speed.py inference", threads=[1, 2], smoke=smoke)
    return Result(suite="inference", run=run, rows=list(rows))


def test_row_in_seconds_quotes_medians_the_paired_ratio_and_the_share_of_the_limit():
    # speed ratios round by round: 4/2, 6/3, 20/4 = 2, 2, 5; medians 3 s and 6 s
    row = measured(
        "step", "loop", [2.0, 3.0, 4.0], peer="bare", peer_seconds=[4.0, 6.0, 20.0], least_seconds=1.5, target=0.8
    )
    assert (row.unit, row.median, row.min, row.max, row.rounds) == ("s", 3.0, 2.0, 4.0, 3)
    assert (row.peer_median, row.ratio, row.ratio_min, row.ratio_max) == (6.0, 2.0, 2.0, 5.0)
    assert (row.limit, row.share_of_limit) == (1.5, 0.5)
    assert not row.is_loss


def test_row_in_megapixels_a_second_turns_times_into_speeds():
    row = measured("photo", "us", [0.5, 1.0, 2.0], megapixels=4.0, least_seconds=0.25)
    assert (row.unit, row.median, row.min, row.max) == ("MP/s", 4.0, 2.0, 8.0)
    assert (row.limit, row.share_of_limit) == (16.0, 0.25)


@pytest.mark.parametrize(("ours", "target", "loss"), [(1.1, None, True), (0.9, None, False), (1.2, 0.8, False)])
def test_row_is_a_loss_below_its_target_or_below_the_peer(ours, target, loss):
    row = measured("a", "us", [ours], peer="them", peer_seconds=[1.0], target=target)
    assert row.is_loss is loss


def test_row_without_figures_must_say_why():
    assert absent("a", "us", "spandrel", "MP/s", "spandrel absent").note == "not measured: spandrel absent"
    with pytest.raises(ValidationError, match="a: expected figures or a note 'not measured: WHY', got neither"):
        Row(name="a", ours="us", unit="s", note="later")


def test_run_names_commit_machine_versions_and_threads():
    run = make_result().run
    assert run.threads == [1, 2]
    assert run.machine.cores > 0
    assert run.versions["torch"].startswith("2.")
    assert set(results.LIBRARIES) <= set(run.versions)


def test_result_survives_its_file():
    result = make_result(measured("a", "us", [1.0, 2.0]), absent("b", "us", "them", "s", "them absent"))
    assert Result.model_validate_json(result.model_dump_json()) == result


def test_result_refuses_keys_that_the_schema_does_not_know():
    document = json.loads(make_result().model_dump_json()) | {"speedup": 9}
    with pytest.raises(ValidationError, match="speedup"):
        Result.model_validate(document)


def test_committed_schema_is_that_of_the_model():
    assert (BENCHMARKS / "schema.json").read_text(encoding="utf-8") == results.to_schema()


def test_schema_requires_what_a_figure_must_name():
    schema = json.loads(results.to_schema())
    assert schema["additionalProperties"] is False
    assert {"command", "commit", "time", "machine", "versions", "threads"} <= set(schema["$defs"]["Run"]["required"])


def test_committed_speed_results_fit_the_schema_and_are_real():
    for path in sorted((BENCHMARKS / "results").rglob("speed*.json")):
        result = Result.model_validate_json(path.read_text(encoding="utf-8"))
        assert not result.run.smoke, f"{path} is a trial"
        assert result.rows, path


def test_table_lists_every_row_and_every_loss():
    slow = measured("small photo", "us", [2.0, 2.0], peer="them", peer_seconds=[1.0, 1.0])
    fast = measured("large photo", "us", [1.0, 1.0], peer="them", peer_seconds=[3.0, 3.0], least_seconds=0.5)
    missing = absent("huge photo", "us", "spandrel", "MP/s", "spandrel absent")
    text = tables.to_markdown(make_result(slow, fast, missing))
    table, losses = text.split("Slower than the peer, or than promised:")
    assert "| small photo | us | them | 2 [2, 2] s | 0.50 [0.50, 0.50] |  |  |" in table
    assert "| large photo | us | them | 1 [1, 1] s | 3.00 [3.00, 3.00] | 50 % |  |" in table
    assert "| huge photo | us | spandrel | – |  |  | not measured: spandrel absent |" in table
    assert "- small photo: 0.50 [0.50, 0.50] of them" in losses
    assert "large photo" not in losses


def test_table_says_where_its_figures_come_from():
    result = make_result(measured("a", "us", [1.0]))
    text = tables.to_markdown(result)
    assert result.run.machine.cpu in text
    assert f"commit {result.run.commit or 'unknown'}" in text
    assert "`python benchmarks/speed.py inference`" in text
    assert "- nothing" in text


def test_table_of_a_trial_says_that_its_figures_mean_nothing():
    assert "these figures mean nothing" in tables.to_markdown(make_result(smoke=True))


def test_tables_command_writes_one_page_from_several_files(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text(make_result(measured(name, "us", [1.0])).model_dump_json())
    page = tmp_path / "page.md"
    tables.main([str(tmp_path / "one.json"), str(tmp_path / "two.json"), "--output", str(page)])
    assert page.read_text().count("## Speed: inference") == 2


def test_tables_script_prints_the_table(tmp_path):
    file = tmp_path / "result.json"
    file.write_text(make_result(measured("a row", "us", [1.0])).model_dump_json())
    command = [sys.executable, str(BENCHMARKS / "tables.py"), str(file)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "| a row | us |" in shown.stdout
