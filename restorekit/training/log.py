"""The numbers of a run: ``log.csv`` and ``validation.csv``, and TensorBoard where it is installed.

A resumed run drops the rows after the step that it resumes from, then appends: the file reads as if it never stopped.
"""

import csv
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from restorekit.core.atomic import replacing

__all__ = ["CsvLog", "RunLog"]


class RunLog:
    """Training rows, validation rows, and TensorBoard, all by step.

    Args:
        folder: of the run; ``log.csv``, ``validation.csv`` and ``tensorboard/`` lie in it.
        step: updates done; later rows of an earlier call are dropped.
    """

    def __init__(self, folder: Path, *, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._training = CsvLog(folder / "log.csv", step=step)
        self._validation = CsvLog(folder / "validation.csv", step=step)
        self._board = _tensorboard(folder / "tensorboard", step)

    def training(self, step: int, values: Mapping[str, float]) -> None:
        """Loss, rates and the task's own numbers."""
        self._write(self._training, "train", step, values)

    def validation(self, step: int, values: Mapping[str, float]) -> None:
        """Scores by ``degradation/metric``."""
        self._write(self._validation, "validation", step, values)

    def close(self) -> None:
        """Flush TensorBoard; the CSV files are whole after every row."""
        if self._board is not None:
            self._board.close()

    def _write(self, log: "CsvLog", group: str, step: int, values: Mapping[str, float]) -> None:
        log.write(step, values)
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{group}/{name}", value, step)


class CsvLog:
    """A CSV file with a ``step`` column; a name that is new widens it."""

    def __init__(self, path: Path, *, step: int) -> None:
        self._path = path
        self._columns: list[str] = ["step"]
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as stream:
                reader = csv.DictReader(stream)
                rows = [row for row in reader if _step_of(row) in range(step + 1)]
                self._columns = list(reader.fieldnames or self._columns)
            self._rewrite(rows)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append one row, to 6 significant digits."""
        row = {"step": str(step)} | {name: f"{value:.6g}" for name, value in values.items()}
        new = [name for name in row if name not in self._columns]
        if new:
            rows = self._rows()
            self._columns += new
            self._rewrite(rows)
        with self._path.open("a", newline="", encoding="utf-8") as stream:
            csv.DictWriter(stream, self._columns).writerow(row)

    def _rows(self) -> list[dict[str, str]]:
        if not self._path.is_file():
            return []
        with self._path.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))

    def _rewrite(self, rows: Sequence[Mapping[str, str]]) -> None:
        with replacing(self._path) as beside, beside.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, self._columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)


def _step_of(row: Mapping[str, str | None]) -> int:
    """-1 for a row that a crash cut short."""
    text = row.get("step") or ""
    return int(text) if text.isdigit() else -1


def _tensorboard(folder: Path, step: int) -> Any:
    """A writer, or None where TensorBoard is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1)
