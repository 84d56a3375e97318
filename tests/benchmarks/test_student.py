"""A student beside its prior: difference in dB, weights, and time, of a benchmark's output and of both models."""

import json

import pytest
import student
from arms import gains
from student import Cost, costs, costs_markdown, main
from timing import Budget

from restorekit.shipped import SCORED
from restorekit.suite import SuiteResult


@pytest.fixture
def reports(report_of):
    return {"noise": report_of({"full": [25.0, 26.0, 30.0], "small": [24.9, 26.1, 29.7], "input": [20.0, 20.0, 20.0]})}


def test_costs_are_those_of_the_benchmark(reports, tmp_path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(bytes(1234))
    named = json.loads(SuiteResult(title="t", reports=reports).model_dump_json().replace('"full"', f'"file:{path}"'))
    report = named["reports"]["noise"]
    for model in report["models"]:
        model |= {"parameters": 1000, "parameters_prior": 300}
    for seconds, score in enumerate(score for score in report["scores"] if score["model"] == f"file:{path}"):
        score |= {"seconds": float(seconds), "megapixels": 0.5}
    found = costs(SuiteResult.model_validate(named).reports, f"file:{path}")
    assert found == Cost(f"file:{path}", 300, 1000, 1234, 2.0)  # 0, 1 and 2 s for half a megapixel each


def test_main_prints_difference_and_ratio(reports, tmp_path, capsys, monkeypatch) -> None:
    (tmp_path / "result.json").write_text(SuiteResult(title="t", reports=reports).model_dump_json())
    monkeypatch.setattr(student, "time_vectors", lambda models, budget: {"full": [0.4, 0.4], "student": [0.1, 0.2]})
    main([str(tmp_path), "--full", "full", "--student", "small", "--json", str(tmp_path / "out.json")])
    told = capsys.readouterr().out
    (gain,) = [
        gain for gain in gains(reports, {"full": ["full"], "student": ["small"]}, SCORED) if gain.arm == "student"
    ]
    assert gain.gain == pytest.approx((-0.1 + 0.1 - 0.3) / 3)
    assert f"| student | 26.90 | {gain.gain:+.2f} |" in told
    assert "3.00 [2.00, 4.00] times as fast" in told
    assert "| vector alone, s | 0.4000 | 0.1500 |" in told
    assert json.loads((tmp_path / "out.json").read_text())["costs"]["full"]["model"] == "full"


def test_unknown_models_are_refused(reports, tmp_path, capsys) -> None:
    (tmp_path / "result.json").write_text(SuiteResult(title="t", reports=reports).model_dump_json())
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--full", "full", "--student", "smal"])
    assert "got smal" in capsys.readouterr().err


def test_vectors_are_timed_in_turn(monkeypatch) -> None:
    asked = []

    class Model:
        def __init__(self, name):
            self.prior = self
            self.name = name

        def features(self, photo):
            asked.append((self.name, tuple(photo.shape)))

    monkeypatch.setattr(student.restorekit, "load", Model)
    seconds = student.time_vectors({"full": "a", "student": "b"}, Budget(seconds=0, fewest=2, warmups=0))
    assert asked == [("a", (1, 3, 400, 600)), ("b", (1, 3, 400, 600))] * 2
    assert {name: len(times) for name, times in seconds.items()} == {"full": 2, "student": 2}


def test_what_is_not_known_is_a_dash() -> None:
    table = costs_markdown(
        {"full": Cost("a", None, None, None, None), "student": Cost("b", 7, 1000, 2_500_000, 0.5)},
        {"full": [1.0], "student": [1.0]},
    )
    assert "| weights in use | – | 1,000 |" in table
    assert "| weight file, MB | – | 2.50 |" in table
