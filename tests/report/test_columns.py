"""How sure a cell is: corrected p-values, wins, doubt, spread over seeds; nothing of it for small sets."""

import math

import numpy as np
import pytest
from scipy import stats

from restorekit.report import ImageScore, MetricInfo, Report
from restorekit.report.columns import Difference
from restorekit.statistics import Interval

PSNR = "psnr[rgb|per-image|u8|crop0]"


def cell(table, name):
    return next(row.cells[0] for row in table.rows if row.model.name == name)


def naive_holm(p_values):
    """Reject step by step at every level: the adjusted p is the least level at which a hypothesis falls."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, least = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = least
    return adjusted


@pytest.fixture
def measured(report_of):
    generator = np.random.default_rng(3)
    start = generator.normal(20, 3, 10)
    gains = {"a": 1.0, "b": 0.4, "c": 0.0}
    values = {name: list(start + gain + generator.normal(0, 0.6, 10)) for name, gain in gains.items()}
    return {"input": list(start), **values}, report_of({"input": list(start), **values})


def test_p_values_are_those_of_scipy_corrected_by_holm(measured):
    values, report = measured
    exact = [
        stats.permutation_test(
            (np.subtract(values[name], values["input"]),), np.mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        for name in "abc"
    ]
    table = report.table()
    assert [cell(table, name).against_input.p_value for name in "abc"] == pytest.approx(naive_holm(exact), abs=1e-12)


def test_wins_are_the_share_of_better_images(measured):
    values, report = measured
    table = report.table()
    for name in "abc":
        better = np.mean(np.subtract(values[name], values["input"]) > 0)
        assert cell(table, name).against_input.wins == pytest.approx(better)


def test_wins_count_smaller_values_where_smaller_is_better(report_of):
    metric = MetricInfo(address="lpips[rgb|per-image|u8|crop0|net=alex]", name="LPIPS", higher_is_better=False)
    report = report_of({"input": [0.5] * 8, "net": [0.4] * 6 + [0.6, 0.5]}, metrics=(metric,))
    assert cell(report.table(), "net").against_input.wins == 6.5 / 8


def test_classical_rows_do_not_cost_the_models_their_significance(report_of):
    values = {"input": [20.0 + i for i in range(8)], "net": [21.0 + 1.1 * i for i in range(8)]}
    alone = report_of(values)
    classical = {name: [20.5 + i for i in range(8)] for name in "pqrstuvw"}
    crowded = report_of(values | classical, kinds=dict.fromkeys(classical, "classical"))
    expected = 2 / 2**8  # all eight differences are positive
    assert cell(alone.table(), "net").against_input.p_value == expected
    assert cell(crowded.table(), "net").against_input.p_value == expected
    assert cell(crowded.table(), "p").against_input.p_value == pytest.approx(8 * expected)


def ranks(count, gain=0.0):
    """As many values of which no two differ from the input's by the same."""
    return [20.0 + i + gain * (1 + i / 10) for i in range(count)]


def exact_p(values, start):
    return stats.permutation_test(
        (np.subtract(values, start),), np.mean, permutation_type="samples", n_resamples=np.inf
    ).pvalue


@pytest.mark.parametrize(("count", "restorers"), [(8, 6), (8, 7), (9, 11), (9, 12), (9, 13), (10, 13)])
def test_too_few_images_are_not_called_not_significant(report_of, count, restorers):
    """The best that so many restorers can do, every image better, corrected step by step: is any of them below 5 %?"""
    classical = {f"c{k}": ranks(count, 1.0 + k) for k in range(restorers)}
    values = {"input": ranks(count), **classical, "net": ranks(count, 2.0)}
    table = report_of(values, kinds=dict.fromkeys(classical, "classical")).table(classical_rows=restorers)
    attainable = min(naive_holm([exact_p(classical[name], values["input"]) for name in classical])) <= 0.05
    for name in classical:
        against = cell(table, name).against_input
        assert against.significant is (True if attainable else None)
        assert against.doubt == ("" if attainable else f"n<{count + 1}")
        assert against.needs == (None if attainable else count + 1)
    assert cell(table, "net").against_input.significant is True  # a family of its own
    notes = [note for note in table.footnotes if note.startswith("n<")]
    assert len(notes) == (not attainable)
    if not attainable:
        assert notes[0].endswith(f"{count + 1} images would be needed")
        assert f"n\\<{count + 1}" in table.to_markdown()
        assert f"n\\textless{{}}{count + 1}" in table.to_latex()
    assert [record["images_needed"] for record in table.to_json() if record["kind"] == "classical"] == [
        None if attainable else count + 1
    ] * restorers


def test_pairs_and_rivals_are_told_apart_from_too_few_images(report_of):
    """Five models make ten pairs, which 8 images cannot tell; five differences to the best classical one they can."""
    values = {"input": ranks(8), "c": ranks(8, 1.0), **{name: ranks(8, 2.0 + i) for i, name in enumerate("abdef")}}
    report = report_of(values, kinds={"c": "classical"})
    pairs = report.pairs()
    assert len(pairs) == 15
    assert {(pair.difference.significant, pair.difference.doubt) for pair in pairs} == {(None, "n<10")}  # 15 x 2 / 512
    notes = [note for note in report.table().footnotes if "minus c" in note]
    assert len(notes) == 5
    assert not any("n<" in note or "n.s." in note for note in notes)


def test_rivals_are_corrected_among_each_other(report_of):
    generator = np.random.default_rng(5)
    rival = generator.normal(28, 2, 10)
    gains = {"a": 0.8, "b": 0.55, "d": 0.5}
    models = {name: list(rival + generator.normal(gain, 0.7, 10)) for name, gain in gains.items()}
    report = report_of({"input": [20.0] * 10, "c": list(rival), **models}, kinds={"c": "classical"})
    plain = [exact_p(values, rival) for values in models.values()]
    adjusted = naive_holm(plain)
    changed = [p <= 0.05 < q for p, q in zip(plain, adjusted, strict=True)]
    assert any(changed)  # the correction makes a difference here
    notes = [note for note in report.table().footnotes if "minus c" in note]
    for note, p in zip(notes, adjusted, strict=True):
        assert note.endswith("n.s.") >= (p > 0.05)


@pytest.mark.parametrize(
    ("p_value", "interval", "significant"),
    [
        (0.01, Interval(0.1, 2.0), True),
        (0.01, Interval(-0.1, 2.0), False),
        (0.06, Interval(0.1, 2.0), False),
        (0.01, None, True),
        (None, None, None),
    ],
)
def test_a_difference_is_significant_only_if_nothing_speaks_against_it(p_value, interval, significant):
    assert Difference(1.0, interval, p_value, 1.0).significant is significant


def test_doubt_is_written_in_every_rendering(measured):
    table = measured[1].table()
    assert cell(table, "c").against_input.significant is False
    lines = {line.split("|")[1].strip(): line for line in table.to_markdown().splitlines() if line.startswith("|")}
    assert "n.s." in lines["c"]
    assert "n.s." not in lines["a"]
    assert "n.s." in table.to_latex()
    assert [record["significant"] for record in table.to_json()] == [
        None,
        True,
        cell(table, "b").against_input.significant,
        False,
    ]


@pytest.mark.parametrize("count", [2, 7])
def test_small_sets_have_values_only(report_of, count):
    table = report_of({"input": [20.0] * count, "net": [21.0 + i for i in range(count)]}).table()
    found = cell(table, "net")
    assert found.difference == pytest.approx(1.0 + (count - 1) / 2)
    assert (found.interval, found.against_input.p_value, found.against_input.wins) == (None, None, None)
    assert "wins" not in table.to_markdown().splitlines()[2]


def drawn(report_of, by_seed):
    """A report of one stochastic model with these values, (images, seeds)."""
    base = report_of({"input": [20.0] * len(by_seed)})
    scores = [
        ImageScore(
            image=f"{i}.png",
            model="net",
            scores={PSNR: float(np.mean(values))},
            by_seed=tuple({PSNR: value} for value in values),
            megapixels=1.0,
        )
        for i, values in enumerate(by_seed)
    ]
    net = base.models[0].model_copy(update={"name": "net", "kind": "model", "stochastic": True})
    run = base.run.model_copy(update={"seeds": len(by_seed[0]), "seed": 5})
    return Report(run=run, metrics=base.metrics, models=(*base.models, net), scores=(*base.scores, *scores))


def test_spread_is_the_deviation_over_seeds_of_the_mean_over_images(report_of):
    values = [[30.0, 31.0, 32.0], [28.0, 28.5, 30.0]]
    table = drawn(report_of, values).table()
    assert cell(table, "net").spread == pytest.approx(np.mean(values, axis=0).std(ddof=1))
    assert cell(table, "net").mean == pytest.approx(np.mean(values))
    assert cell(table, "input").spread is None
    assert any(note.startswith("±: standard deviation, over 3 seeds") for note in table.footnotes)


def test_every_seed_has_its_line_among_the_scores(report_of):
    from restorekit.report.data import score_records

    records = [r for r in score_records(drawn(report_of, [[30.0, 31.0]])) if r["model"] == "net"]
    assert [(r["seed"], r["value"]) for r in records] == [(5, 30.0), (6, 31.0)]


def test_pairs_compare_models_with_each_other_and_the_best_classical(report_of):
    generator = np.random.default_rng(0)
    values = {name: list(generator.normal(25 + i, 1, 9)) for i, name in enumerate(["input", "p", "q", "a", "b"])}
    report = report_of(values, kinds={"p": "classical", "q": "classical"})
    pairs = report.pairs()
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "b"), ("a", "q"), ("b", "q")]
    exact = []
    for pair in pairs:
        differences = np.subtract(values[pair.first], values[pair.second])
        assert pair.difference.mean == pytest.approx(differences.mean())
        exact.append(
            stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
        )
    assert [pair.difference.p_value for pair in pairs] == pytest.approx(naive_holm(exact), abs=1e-12)


def test_pairs_are_in_the_record_with_infinity_as_text(report_of, tmp_path):
    import json

    report_of({"input": [20.0] * 8, "a": [math.inf] * 8, "b": [30.0] * 8}).save(tmp_path)
    record = json.loads((tmp_path / "report.json").read_text())
    assert [(pair["first"], pair["difference"]) for pair in record["pairs"]] == [("a", "Infinity")]
    assert Report.load(tmp_path).images[0] == "0.png"
