"""The page of the method is true: its commands are understood, its example runs, its presets and sizes are counted."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from restorekit.cli.main import app
from restorekit.zeroair.config import ZeroAIRConfig
from restorekit.zeroair.degradation_model import build_degradation_model
from restorekit.zeroair.presets import PRESETS
from restorekit.zeroair.settings import DEFAULT_PRESET, PoolSettings

PAGE = (Path(__file__).parents[2] / "docs" / "methods" / "zeroair.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"^```bash\n(.*?)^```", PAGE, flags=re.M | re.S) for line in block.splitlines()
]
SIZES = re.findall(r"^\| `(\w+)` \| ([\d,]+) \| ([\d.]+) \| [^|]+ \|$", PAGE, flags=re.M)
PRESET_ROWS = re.findall(r"^\| (`[^|]+) \| ((?:[^|]+ \| ){5}(?:yes|no)) \|$", PAGE, flags=re.M)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_understood(line: str) -> None:
    """With --help added nothing runs, but options and subcommands must exist."""
    words = shlex.split(line, comments=True)[1:]
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    assert all(word in result.stdout for word in words if word.startswith("--"))


def test_example_runs() -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)
    exec(compile(example, "zeroair.md", "exec"), {})


@pytest.mark.parametrize(("kind", "parameters", "giga"), SIZES)
def test_sizes_are_counted(kind: Any, parameters: str, giga: str) -> None:
    image = torch.empty(1, 3, 256, 256, device="meta")
    model = build_degradation_model(kind, like=image)
    assert f"{sum(weight.numel() for weight in model.parameters()):,}" == parameters
    with FlopCounterMode(display=False) as counter:
        model(image)
    assert f"{counter.get_total_flops() / 2e9:.2f}" == giga


def described(config: ZeroAIRConfig) -> list[str]:
    """A row of the page's table of presets."""
    images = 1 + (config.auxiliary_count if config.auxiliary == "image" else 0)
    crops = "whole" if config.fit.model == "map" else f"{config.fit.crop_px} px"
    updates = config.steps * config.fit.inner_steps
    if config.fit.model == "levels":
        crops, updates = "–", 0
    features = "yes" if config.needs_features else "no"
    return [str(config.steps), str(images), config.fit.model, crops, str(updates), features]


@pytest.mark.parametrize(("names", "row"), PRESET_ROWS)
def test_presets_are_described(names: str, row: str) -> None:
    first, *others = re.findall(r"`([a-z-]+)`", names)
    for name in (first, *(first.removesuffix("-dehaze") + other for other in others)):
        assert described(PRESETS[name]) == row.split(" | ")
    assert ("(default)" in names) == (first == DEFAULT_PRESET)


def test_pool_costs_what_the_page_says() -> None:
    pool, crop = PoolSettings(), PRESETS["blind"].fit.crop_px
    evaluations = pool.count * pool.steps
    assert evaluations * (crop / 256) ** 2 == 25
    assert "eight clean samples of 64 px" in PAGE
    assert (pool.count, crop) == (8, 64)
    assert f"the pool costs {evaluations} evaluations" in PAGE


def test_page_has_commands_presets_and_sizes() -> None:
    assert len(COMMANDS) == 6
    assert len(SIZES) == 4
    assert len(PRESET_ROWS) == 6
