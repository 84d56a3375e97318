import csv
import sys
import types
from pathlib import Path

import pytest

from restorekit.training.log import CsvLog, RunLog


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def test_resumed_log_reads_as_if_it_never_stopped(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    log = CsvLog(path, step=0)
    for step in (1, 2, 3):
        log.write(step, {"loss": 1 / step})
    with path.open("a") as stream:
        stream.write("4")  # cut short by a crash
    resumed = CsvLog(path, step=2)
    resumed.write(3, {"loss": 0.25})
    assert rows(path) == [{"step": "1", "loss": "1"}, {"step": "2", "loss": "0.5"}, {"step": "3", "loss": "0.25"}]


def test_new_number_widens_the_log(tmp_path: Path) -> None:
    log = CsvLog(tmp_path / "log.csv", step=0)
    log.write(1, {"loss": 1.0})
    log.write(2, {"loss": 0.5, "accuracy": 0.25})
    assert rows(tmp_path / "log.csv") == [
        {"step": "1", "loss": "1", "accuracy": ""},
        {"step": "2", "loss": "0.5", "accuracy": "0.25"},
    ]


def test_log_does_without_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    log = RunLog(tmp_path, step=0)
    log.training(1, {"loss": 1.0})
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv"]


def test_log_writes_to_tensorboard_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            told.append((Path(folder).name, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            told.append((name, value, step))

        def close(self) -> None:
            told.append("closed")

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    log = RunLog(tmp_path, step=4)
    log.training(5, {"loss": 1.0})
    log.validation(5, {"noise/psnr": 30.0})
    log.close()
    assert told == [("tensorboard", 5), ("train/loss", 1.0, 5), ("validation/noise/psnr", 30.0, 5), "closed"]
