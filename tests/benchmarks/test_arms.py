"""Arms of a training experiment: gains are paired over images, seeds are averaged, sets of one photo are joined."""

import numpy as np
import pytest
from arms import ALL, gains, main, to_markdown
from scipy import stats

from restorekit.shipped import SCORED
from restorekit.statistics import bootstrap_t_interval
from restorekit.suite import SuiteResult

ARMS = {"plain": ["a0", "a1"], "guided": ["b0", "b1"]}


def make_reports(report_of, images: int = 12):
    generator = np.random.default_rng(0)
    found = {}
    for name, gain in (("noise", 0.5), ("rain", -0.2)):
        base = generator.normal(25, 3, images)
        draws = {
            model: base + generator.normal(gain * (model[0] == "b"), 0.1, images) for model in ("a0", "a1", "b0", "b1")
        }
        draws["input"] = base - 5
        found[name] = report_of(draws)
    return found


def values(measured, model):
    return np.array([score.scores[SCORED] for score in measured.scores if score.model == model])


def test_gain_is_the_mean_difference_of_the_seeds_means(report_of) -> None:
    measured = make_reports(report_of)
    found = {(gain.set, gain.arm): gain for gain in gains(measured, ARMS, SCORED)}
    noise = measured["noise"]
    seeds = [values(noise, f"b{seed}") - values(noise, f"a{seed}") for seed in (0, 1)]
    difference = np.mean(seeds, axis=0)
    gain = found["noise", "guided"]
    assert gain.gain == pytest.approx(difference.mean())
    assert gain.by_seed == pytest.approx([seed.mean() for seed in seeds])
    assert (gain.low, gain.high) == pytest.approx(tuple(bootstrap_t_interval(difference.tolist())))
    student = stats.t.interval(0.95, 11, difference.mean(), stats.sem(difference))
    assert (gain.low, gain.high) == pytest.approx(student, abs=0.05)
    assert found["noise", "plain"].gain == 0


def test_all_joins_the_sets_image_by_image(report_of) -> None:
    measured = make_reports(report_of)
    found = {(gain.set, gain.arm): gain for gain in gains(measured, ARMS, SCORED)}
    together = found[ALL, "guided"]
    assert together.images == 12
    assert together.gain == pytest.approx((found["noise", "guided"].gain + found["rain", "guided"].gain) / 2)


def test_few_images_have_no_interval_and_unequal_arms_no_gains_by_seed(report_of) -> None:
    found = gains(make_reports(report_of, images=4), {**ARMS, "guided": ["b0"]}, SCORED)
    assert {gain.low for gain in found} == {None}
    assert all(gain.by_seed == () for gain in found if gain.arm == "guided")
    assert "[+" not in to_markdown(found, SCORED)


def test_command_prints_and_writes_and_names_unknown_models(report_of, tmp_path, capsys) -> None:
    (tmp_path / "result.json").write_text(SuiteResult(title="t", reports=make_reports(report_of)).model_dump_json())
    arms = ["--arm", "plain=a0,a1", "--arm", "guided=b0,b1"]
    main([str(tmp_path), *arms, "--json", str(tmp_path / "arms.json")])
    assert "| noise | 12 | guided |" in capsys.readouterr().out
    assert '"by_seed"' in (tmp_path / "arms.json").read_text()
    with pytest.raises(SystemExit):
        main([str(tmp_path), *arms, "--arm", "third=c0"])
    assert "got c0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(tmp_path / "absent"), *arms])
    assert "absent: expected result.json of an earlier 'restorekit bench'" in capsys.readouterr().err
