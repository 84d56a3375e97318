"""What a diffusion prior knows of photos: its denoising against a model's, timestep by timestep, and samples of it.

    python benchmarks/prior_denoising.py WEIGHTS.safetensors --clean FOLDER [--model base] [--json FILE.json]
    python benchmarks/prior_denoising.py WEIGHTS.safetensors --sheet SHEET.png [--samples 16]

- Each clean photo (its centre, 256 px) gets the white noise of a timestep, not clipped: on the 8-bit scale sigma =
  127.5 sqrt((1 - alpha_bar) / alpha_bar). The model sees just that; the prior sees it as the noisy image that it is, is
  told the timestep, and makes one clean estimate. The model is blind, and may have been made for less noise.
- Noise comes from (seed, photo, timestep), so every prior and every model sees the same.
- Samples are unconditional: deterministic DDIM from unit noise, nothing chosen among them.
"""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from results import Run
from torch import Tensor

import restorekit
from restorekit.core.image.convention import from_images, to_images
from restorekit.core.image.files import read_image
from restorekit.core.image.pairs import evenly_spaced, list_images
from restorekit.core.image.patches import centred_window
from restorekit.core.randomness import generator_for
from restorekit.priors.compact_diffusion import load_compact_prior
from restorekit.priors.pixel_diffusion import DiffusionPrior, make_scheduler, to_signed, to_unsigned
from restorekit.report.columns import FEWEST_IMAGES
from restorekit.statistics import bootstrap_t_interval
from restorekit.zeroair.sampler import reverse_process

__all__ = ["TIMESTEPS", "Row", "draw_sheet", "main", "measure", "read_photos", "to_markdown"]

TIMESTEPS = (5, 10, 25, 50, 75, 100, 150, 200, 300, 400, 600, 800, 999)
SIDE_PX = 256
GAP_PX = 4


@dataclass(frozen=True)
class Row:
    """One timestep; PSNR in dB, one value for each photo."""

    timestep: int
    sigma: float
    """Deviation of the noise on the 8-bit scale."""
    noisy: list[float]
    model: list[float]
    prior: list[float]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--clean", type=Path, metavar="FOLDER", help="clean photos; left out: no table")
    parser.add_argument("--model", default="base", help="what the prior is compared with")
    parser.add_argument("--timesteps", type=int, nargs="+", default=list(TIMESTEPS))
    parser.add_argument("--photos", type=int, default=24, help="at most this many, evenly spaced in the folder")
    parser.add_argument("--json", type=Path, metavar="FILE.json")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="samples are drawn here; left out: none")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--side", type=int, default=128, help="of a sample, in px")
    parser.add_argument("--steps", type=int, default=50, help="of DDIM, a divisor of 1000")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    prior = load_compact_prior(chosen.weights)
    if chosen.clean is not None:
        photos = read_photos(chosen.clean, chosen.photos, multiple_of=prior.multiple_of)
        rows = measure(prior, restorekit.load(chosen.model), photos, chosen.timesteps, seed=chosen.seed)
        print(to_markdown(rows, chosen.model))
        if chosen.json is not None:
            chosen.json.write_text(json.dumps(_record(chosen, rows, list(photos)), indent=1) + "\n", encoding="utf-8")
    if chosen.sheet is not None:
        draw_sheet(prior, chosen.samples, side_px=chosen.side, steps=chosen.steps, seed=chosen.seed).save(chosen.sheet)


def read_photos(folder: Path, count: int, *, side_px: int = SIDE_PX, multiple_of: int = 1) -> dict[str, Tensor]:
    """Centres of at most ``count`` photos by name: (1, 3, height, width) in [0, 1], at most ``side_px`` long."""
    chosen = evenly_spaced(list_images([folder]), count)
    return {item.name: _centre(to_images(read_image(item.path).samples), side_px, multiple_of) for item in chosen}


def measure(
    prior: DiffusionPrior, model: Any, photos: dict[str, Tensor], timesteps: Sequence[int], *, seed: int
) -> list[Row]:
    """Every photo at every timestep; one evaluation each of the prior and of the model."""
    alpha_bar = make_scheduler(prior, "ddpm", steps=1).alphas_cumprod
    rows = []
    for timestep in timesteps:
        signal, spread = math.sqrt(alpha_bar[timestep]), math.sqrt(1.0 - alpha_bar[timestep])
        row = Row(timestep, round(127.5 * spread / signal, 2), [], [], [])
        for name, clean in photos.items():
            noise = torch.randn(clean.shape, generator=generator_for(seed, name, timestep))
            noisy = signal * to_signed(clean) + spread * noise
            denoised = to_unsigned((noisy - spread * prior.predict(noisy, timestep)) / signal)
            observed = to_unsigned(noisy / signal)
            row.noisy.append(_psnr(observed, clean))
            row.model.append(_psnr(restorekit.restore(observed, model), clean))
            row.prior.append(_psnr(denoised, clean))
        rows.append(row)
    return rows


def to_markdown(rows: Sequence[Row], model: str) -> str:
    """Means over the photos; the difference with its 95 % paired bootstrap-t interval where they are enough."""
    lines = [
        f"| t | sigma | noisy | {model} | prior | prior minus {model} |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        means = (f"{np.mean(values):.2f}" for values in (row.noisy, row.model, row.prior))
        gains = (np.array(row.prior) - np.array(row.model)).tolist()
        interval = bootstrap_t_interval(gains) if len(gains) >= FEWEST_IMAGES else None
        bounds = f" [{interval.low:.2f}, {interval.high:.2f}]" if interval else ""
        lines.append(f"| {row.timestep} | {row.sigma:.1f} | {' | '.join(means)} | {np.mean(gains):+.2f}{bounds} |")
    return "\n".join([*lines, "", f"PSNR in dB (rgb, u8), mean of {len(rows[0].prior)} photos."])


def draw_sheet(prior: DiffusionPrior, count: int, *, side_px: int, steps: int, seed: int) -> Image.Image:
    """``count`` unconditional samples, in rows of at most 8, on white."""
    columns = min(count, 8)
    cell = side_px + GAP_PX
    sheet = Image.new("RGB", (columns * cell + GAP_PX, math.ceil(count / columns) * cell + GAP_PX), "white")
    for index in range(count):
        generator = generator_for(seed, "sample", index)
        noisy = torch.randn((1, 3, side_px, side_px), generator=generator)
        sample = reverse_process(prior, noisy, make_scheduler(prior, "ddim", steps=steps), generator=generator)
        pixels = from_images(to_unsigned(sample), np.uint8)
        place = (GAP_PX + index % columns * cell, GAP_PX + index // columns * cell)
        sheet.paste(Image.fromarray(np.asarray(pixels, dtype=np.uint8)), place)
    return sheet


def _record(chosen: argparse.Namespace, rows: Sequence[Row], photos: list[str]) -> dict[str, Any]:
    """The run, and everything that the table is made from."""
    command = f"python benchmarks/prior_denoising.py {chosen.weights.name} --clean {chosen.clean.name}"
    options = f" --model {chosen.model} --photos {chosen.photos} --seed {chosen.seed}"
    run = Run.here(command + options, threads=[torch.get_num_threads()], smoke=False)
    return {
        "run": run.model_dump(mode="json", exclude={"limits", "load"}),
        "model": chosen.model,
        "photos": photos,
        "rows": [asdict(row) for row in rows],
    }


def _psnr(restored: Tensor, clean: Tensor) -> float:
    (value,) = restorekit.score(restored, clean, ["psnr"]).mean.values()
    return value


def _centre(image: Tensor, side_px: int, multiple_of: int) -> Tensor:
    height, width = (min(side, side_px) // multiple_of * multiple_of for side in image.shape[-2:])
    rows, columns = centred_window(image.shape[-2:], (height, width))
    return image[..., rows, columns].contiguous()


if __name__ == "__main__":
    main()
