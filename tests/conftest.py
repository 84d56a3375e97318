"""Shape checks on: every jaxtyping annotation in restorekit is verified while the tests run. And a made-up report."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import torch
from jaxtyping import install_import_hook

if TYPE_CHECKING:
    from restorekit.report import Report

install_import_hook("restorekit", "beartype.beartype")

# Small tensors on a shared machine: a second thread costs more in waiting than it brings in work.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def report_of() -> "Callable[[Mapping[str, Sequence[float]]], Report]":
    """Makes a report of PSNR values by model, image by image; "input" and "classical:..." are of those kinds."""
    from restorekit.report import ImageScore, Machine, MetricInfo, ModelInfo, Report, RunRecord
    from restorekit.shipped import SCORED

    def make(values: Mapping[str, Sequence[float]]) -> Report:
        kinds = {name: name.partition(":")[0] for name in values}
        return Report(
            run=RunRecord(
                version="1.2.3",
                command="restorekit bench",
                time=datetime(2026, 1, 2, tzinfo=UTC),
                machine=Machine(cpu="cpu", cores=2, os="Linux", python="3.11", torch="2.6"),
            ),
            metrics=[MetricInfo(address=SCORED, name="PSNR")],
            models=[
                ModelInfo(name=name, kind=kind if kind in ("input", "classical") else "model")
                for name, kind in kinds.items()
            ],
            scores=[
                ImageScore(image=str(index), model=name, scores={SCORED: float(value)}, megapixels=1.0)
                for name, row in values.items()
                for index, value in enumerate(row)
            ],
        )

    return make
