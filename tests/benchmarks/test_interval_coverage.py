"""The simulation counts what it says, draws from what it names, and the committed file keeps the promise."""

import json
from pathlib import Path

import interval_coverage
import numpy as np
import pytest
from interval_coverage import DISTRIBUTIONS, LIMIT, Cell, broken, to_markdown

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "interval_coverage.json"


def test_interval_coverage_counts_what_it_says():
    cell = interval_coverage.simulate("normal", 24, trials=40, resamples=199)
    assert cell.student + cell.student_size == 1.0  # the t interval and the t test are one thing
    assert cell.no_interval == 0.0
    assert 0.8 <= cell.bootstrap_t <= 1.0
    assert cell.percentile <= cell.bootstrap_t
    assert cell.both_size <= min(cell.permutation_size, 1.0 - cell.bootstrap_t)
    figures = f"| normal | 24 | {100 * cell.bootstrap_t:.1f} | {100 * cell.percentile:.1f} | {100 * cell.student:.1f} |"
    assert figures in interval_coverage.to_markdown([cell])


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions_have_the_mean_they_say(name):
    mean, draw = DISTRIBUTIONS[name]
    values = draw(np.random.default_rng(7), 200_000)
    assert values.mean() == pytest.approx(mean, abs=5 * values.std() / len(values) ** 0.5)


def make(distribution, covers, count=24):
    return Cell(distribution, count, 2500, covers, *[0.0] * (len(Cell.__dataclass_fields__) - 4))


def test_the_promise_is_93_to_97_at_24_images_for_all_but_the_limit():
    kept = [make("normal", 0.93), make("exponential", 0.97), make(LIMIT, 0.9), make("normal", 0.5, count=8)]
    assert broken(kept) == []
    assert to_markdown(kept).endswith("Promised is a coverage of 93 to 97 at n = 24, log-normal(1) apart: kept.")
    assert broken([*kept, make("gamma(2)", 0.929), make("t5", 0.971)]) == ["gamma(2)", "t5"]


def test_the_file_names_its_run_and_says_that_few_trials_are_a_trial(tmp_path, capsys):
    arguments = ["--trials", "3", "--resamples", "99", "--counts", "8", "--output", str(tmp_path / "a.json")]
    interval_coverage.main(arguments)
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["run"]["smoke"] is True
    assert record["run"]["command"].endswith("--trials 3 --resamples 99 --counts 8")
    assert [(cell["distribution"], cell["count"]) for cell in record["cells"]] == [(name, 8) for name in DISTRIBUTIONS]
    assert "| exponential | 8 |" in capsys.readouterr().out


@pytest.mark.skipif(not RESULT.is_file(), reason="no result has been committed")
def test_the_committed_result_is_real_and_keeps_the_promise():
    record = json.loads(RESULT.read_text())
    cells = [Cell(**cell) for cell in record["cells"]]
    assert record["run"]["smoke"] is False
    assert {cell.distribution for cell in cells if cell.count == 24} == set(DISTRIBUTIONS)
    assert min(cell.trials for cell in cells) >= 1000
    assert broken(cells) == []


def test_percentile_interval_of_equal_values_is_that_value():
    assert interval_coverage.percentile_interval(np.full(9, 2.5), resamples=99, seed=0) == (2.5, 2.5)
