"""Recipes are the presets and rows they are named after, imitate the noise they speak of, and every switch works."""

import itertools
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from restorekit.core.degradation.chain import parse_degradation
from restorekit.core.networks import count_parameters
from restorekit.recipe import list_packaged, load_recipe
from restorekit.zeroair.presets import ABLATIONS, PRESETS
from restorekit.zeroair.settings import ZeroAIRSettings

FOLDER = Path(__file__).parents[2] / "recipes" / "zeroair"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
NAMES = [name for name in list_packaged("recipes") if name.startswith("zeroair/")]
SWITCHES = re.findall(r"^\| [^|]+ \| `(--set .+)` \|$", README, flags=re.MULTILINE)
ROWS = {
    "hsts_dehaze": "reference-dehaze",
    "lol_low_light": "reference-low-light",
    "kodak24_released": "reference-denoise",
    "kodak24_white": "reference-denoise",
    "gdp": "gdp",
    "blind": "blind",
    "fast": "fast",
    "sample": "sample",
    "proximal": "proximal",
}


def settings_of(name: str, *overrides: str) -> ZeroAIRSettings:
    return ZeroAIRSettings.model_validate(load_recipe(f"zeroair/{name}", overrides).config)


def overrides_in(text: str) -> list[str]:
    words = shlex.split(text)
    return [after for word, after in itertools.pairwise(words) if word == "--set"]


@pytest.mark.parametrize(("name", "preset"), ROWS.items())
def test_rows_are_their_presets(name: str, preset: str) -> None:
    settings = settings_of(name)
    assert settings.sampling == PRESETS[preset]
    assert (settings.prior is None) == (name in ("blind", "fast", "sample", "proximal"))
    assert settings.weights is None


@pytest.mark.parametrize("row", ABLATIONS)
def test_every_ablation_has_its_recipe_on_hsts(row: str) -> None:
    settings = settings_of(f"hsts_{row.replace('-', '_')}")
    assert settings.sampling == ABLATIONS[row](PRESETS["reference-dehaze"])
    assert settings.prior == settings_of("hsts_dehaze").prior


@pytest.mark.parametrize(("name", "deviation", "neighbours"), [("released", 12.5, 0.156), ("white", 30.0, 0.0)])
def test_kodak_recipes_name_the_noise_that_was_measured(name: str, deviation: float, neighbours: float) -> None:
    """Deviation in grey levels and correlation of neighbouring pixels of the released photos, and of their label."""
    spec = load_recipe(f"zeroair/kodak24_{name}").degradation
    assert spec is not None
    degradation = parse_degradation(spec)
    grey = torch.full((1, 3, 256, 256), 0.5)
    params = degradation.draw(1, generator=torch.Generator().manual_seed(0))
    noise = (degradation.apply(grey, params) - grey).double().numpy()
    assert 255 * noise.std() == pytest.approx(deviation, rel=0.01)
    assert np.corrcoef(noise[..., 1:].ravel(), noise[..., :-1].ravel())[0, 1] == pytest.approx(neighbours, abs=0.01)


def gain(alpha: float, variance: float) -> float:
    """d E[restored] / d degraded of the denoising preset, φ the identity, photos white with this variance: the closed
    form of 1000 steps of ddpm.
    """
    beta = np.linspace(1e-4, 0.02, 1000)
    alpha_bar = np.cumprod(1 - beta)
    before = np.append(1.0, alpha_bar[:-1])
    gained = 0.0
    for t in range(999, -1, -1):
        step = alpha * (0.25 * (999 - t) / 299 if t >= 700 else 1.0)
        estimate = np.sqrt(alpha_bar[t]) * variance / (alpha_bar[t] * variance + 1 - alpha_bar[t])
        keep = beta[t] * np.sqrt(before[t]) / (1 - alpha_bar[t])
        stay = (1 - before[t]) * np.sqrt(1 - beta[t]) / (1 - alpha_bar[t])
        gained = ((keep - step) * estimate + stay) * gained + step
    return float(gained)


def test_step_weight_proposed_for_white_noise_is_nearer_to_the_best_linear_filter() -> None:
    (override,) = re.findall(r"--set (\S+)", (FOLDER / "kodak24_white.toml").read_text(encoding="utf-8"))
    proposed = settings_of("kodak24_white", override).sampling.alpha
    variances = (1e-3, 1e-2, 1e-1, 1.0)
    best = np.array([variance / (variance + (30 / 127.5) ** 2) for variance in variances])
    off = [
        np.abs([gain(alpha, variance) for variance in variances] - best).max()
        for alpha in (proposed, PRESETS["reference-denoise"].alpha)
    ]
    assert gain(PRESETS["reference-denoise"].alpha, 0.01) == pytest.approx(0.494, abs=0.001)  # computed elsewhere
    assert off[0] < 0.5 * off[1]


@pytest.mark.parametrize(("name", "millions", "giga"), [("prior_small", 5.7, 7.1), ("prior_large", 13.2, 7.8)])
def test_priors_have_the_size_they_say_and_could_ship(name: str, millions: float, giga: float) -> None:
    network = settings_of(name).network
    assert count_parameters(network) / 1e6 == pytest.approx(millions, abs=0.05)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.build()(torch.zeros(1, 3, 256, 256), torch.tensor([500]))
    assert counter.get_total_flops() / 2e9 == pytest.approx(giga, abs=0.05)
    assert 2 * count_parameters(network) < 30e6  # bytes in float16
    said = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    assert f"{millions} M parameters" in said
    assert f"{giga} GMAC at 256x256" in said


@pytest.mark.parametrize("name", ["blind", "hsts_dehaze"])
@pytest.mark.parametrize("line", SWITCHES)
def test_switches_of_the_readme_change_the_run(name: str, line: str) -> None:
    given = overrides_in(line)
    same = {"hsts_dehaze": ("fit.model=cnn", "auxiliary=image"), "blind": ("reset=episodic",)}[name]
    assert given
    assert (settings_of(name, *given) == settings_of(name)) == given[0].endswith(same)


def test_readme_names_every_recipe() -> None:
    assert len(SWITCHES) == 11
    patterns = re.findall(r"`([a-z0-9_*]+)`", README.partition("## Switches")[0])
    assert [name for name in NAMES if not any(Path(name).match(f"zeroair/{pattern}") for pattern in patterns)] == []
