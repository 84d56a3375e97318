"""Two speed results of one suite: compared are quotients within a run, and their rounds are the noise."""

import dataclasses

import pytest
import speed
from results import Result, Row, Run, measured
from speed_changes import changes, load_earlier, to_lines

RUN = Run.here("python benchmarks/speed.py inference", threads=[1], smoke=False)
BEFORE = {
    "faster": measured("faster", "ours", [1.0, 1.1, 0.9], peer="theirs", peer_seconds=[1.0, 1.0, 1.0]),
    "slower": measured("slower", "ours", [1.0, 1.1, 0.9], peer="theirs", peer_seconds=[1.0, 1.0, 1.0]),
    "alone": measured("alone", "ours", [2.0, 2.5, 1.6], least_seconds=1.0),
    "pixels": measured("pixels", "ours", [2.0, 2.5, 1.6], least_seconds=1.0, megapixels=4.0),
}
NOW = {
    "faster": measured("faster", "ours", [4.0, 4.4, 3.6], peer="theirs", peer_seconds=[8.0, 8.0, 8.0]),
    "slower": measured("slower", "ours", [0.5, 0.5, 0.5], peer="theirs", peer_seconds=[0.1, 0.2, 0.3]),
    "alone": measured("alone", "ours", [1.7, 1.8, 1.6], least_seconds=1.0),
    "pixels": measured("pixels", "ours", [1.5, 1.4, 1.3], least_seconds=1.0, megapixels=4.0),
}


def result(rows: dict[str, Row], **change: object) -> Result:
    return Result(suite="inference", run=RUN.model_copy(update=change), rows=list(rows.values()))


def test_rows_are_judged_by_whether_their_rounds_overlap():
    verdicts = {change.name: (change.what, change.verdict) for change in changes(result(BEFORE), result(NOW))}
    assert verdicts == {
        "faster": ("ratio", "better"),  # twice as fast as the peer, though four times as slow as before
        "slower": ("ratio", "worse"),
        "alone": ("share of limit", "within noise"),
        "pixels": ("share of limit", "better"),
    }


def test_the_share_of_the_limit_has_the_extremes_of_its_rounds():
    for name in ("alone", "pixels"):
        (change,) = changes(result({name: BEFORE[name]}), result({name: NOW[name]}))
        assert dataclasses.astuple(change.before) == pytest.approx((1 / 2.0, 1 / 2.5, 1 / 1.6, 3), rel=1e-3)


def test_rows_of_other_candidates_are_left_out_and_counted():
    other = {"faster": NOW["faster"].model_copy(update={"peer": "another"}), "slower": NOW["slower"]}
    lines = to_lines(result(BEFORE), result(other))
    assert lines[0] == "slower | ratio 1 [0.909, 1.11] -> 0.4 [0.2, 0.6] | worse"
    assert lines[1].startswith("1 rows have nothing to be compared with")
    assert len(lines) == 3


def test_another_machine_is_named():
    there = RUN.machine.model_copy(update={"cpu": "abacus"})
    assert any(
        line.startswith("another machine then: abacus,")
        for line in to_lines(result(BEFORE, machine=there), result(NOW))
    )


@pytest.mark.parametrize(
    ("suite", "smoke", "message"),
    [
        ("tiling", False, "expected a result of suite tiling, got one of inference"),
        ("inference", True, r"expected a trial \(--smoke\), as now, got a measurement"),
    ],
)
def test_results_of_another_kind_are_refused(suite, smoke, message, tmp_path):
    (tmp_path / "a.json").write_text(result(BEFORE).model_dump_json())
    assert load_earlier(tmp_path / "a.json", "inference", smoke=False).rows == list(BEFORE.values())
    with pytest.raises(ValueError, match=message):
        load_earlier(tmp_path / "a.json", suite, smoke=smoke)


def test_speed_compares_and_refuses_before_it_measures(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(speed.SUITES, "tiling", lambda setting: iter([NOW["faster"]]))
    path = tmp_path / "before.json"
    speed.main(["tiling", "--smoke", "--output", str(path)])
    speed.main(["tiling", "--smoke", "--compare", str(path)])
    assert "faster | ratio 2 [1.82, 2.22] -> 2 [1.82, 2.22] | within noise" in capsys.readouterr().out
    monkeypatch.setitem(speed.SUITES, "tiling", None)
    for arguments, message in (
        (["tiling", "--compare", str(path)], "expected a measurement, as now, got a trial (--smoke)"),
        (["tiling", "--compare", str(tmp_path / "no.json")], "expected a result of speed.py, got [Errno 2]"),
    ):
        with pytest.raises(SystemExit):
            speed.main(arguments)
        assert message in capsys.readouterr().err
