"""Rain: streaks drawn one by one, each with its own place, length, width, brightness and slope, and a veil behind them.

Published rain sets were the model (their residuals, looked at closely): the layer is gray and is added to the encoded
image; light rain is one thin layer with varied brightness and pointed ends, heavy rain is several layers that cross at
different angles and saturate, dense rain has long, wide, faint streaks over a veil.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from restorekit.core.degradation.base import DegradationTerm, Params, column
from restorekit.core.degradation.fields import generators
from restorekit.core.degradation.settings import Span, span, word
from restorekit.core.image.convention import Images

__all__ = ["Rain", "rain_layer"]

VEIL_LIGHT = 0.85
"""Gray level of rain too far away to be seen as streaks."""

CHUNK_STREAKS = 20_000
"""Streaks drawn at once; bounds the memory on large photos."""


@dataclass(frozen=True)
class Rain(DegradationTerm):
    """Rain streaks over a veil: first x <- x (1 - veil) + 0.85 veil, then the streak layer is composed with it."""

    name: ClassVar[str] = "rain"
    seeded: ClassVar[bool] = True

    angle: Span = span("-30..30", low=-60, high=60, unit="degrees", help="direction of fall, from vertical")
    spread: Span = span("0..3", low=0, high=30, unit="degrees", help="deviation of single streaks from their layer's")
    layers: Span = span("1..3", low=1, high=8, whole=True, help="layers of different depth and slightly different wind")
    length: Span = span("18..70", low=2, high=300, unit="px", log=True, help="typical length of a streak")
    width: Span = span("0.8..2.6", low=0.5, high=16, unit="px", help="typical width at half brightness")
    density: Span = span("0.03..1", low=0, high=6, log=True, help="sum of all streaks' areas, divided by the image's")
    brightness: Span = span("0.15..0.7", low=0, high=1, help="light at the middle of the brightest streaks")
    variety: Span = span("0.2..1", low=0, high=1, help="how much fainter single streaks may be; 0: all equal")
    softness: Span = span("0.3..1", low=0, high=1, help="part of a streak that fades out; 0: square ends")
    veil: Span = span("0..0.15", low=0, high=1, help="part of the light replaced by distant rain's gray")
    blend: str = word("add", ("add", "screen"), help="add: x + r, as published rain sets; screen: x + r - x r")

    def _degrade(self, clean: Images, params: Params) -> Images:
        height, width = clean.shape[-2:]
        layers = [
            rain_layer(StreakStyle(*values), height, width, generator, device=clean.device)
            for generator, *values in zip(
                generators(params["seed"]), *(params[key].tolist() for key in StreakStyle._fields), strict=True
            )
        ]
        rain = torch.stack(layers)[:, None]
        veil = column(params["veil"], clean)
        veiled = clean * (1.0 - veil) + VEIL_LIGHT * veil
        added = rain * (1.0 - veiled) if self.blend == "screen" else rain
        return (veiled + added).clamp(0.0, 1.0)


class StreakStyle(NamedTuple):
    """The settings of ``Rain`` that shape the streaks of one image, in its units."""

    angle: float
    spread: float
    layers: float
    length: float
    width: float
    density: float
    brightness: float
    variety: float
    softness: float


class Streaks(NamedTuple):
    """Single streaks, one row each: centre, half extent along the rows, slope, cross-section and light."""

    row: Tensor
    column: Tensor
    half_rows: Tensor
    slope: Tensor
    sigma_columns: Tensor
    light: Tensor


def rain_layer(
    style: StreakStyle, height: int, width: int, generator: torch.Generator, *, device: torch.device
) -> Float[Tensor, "height width"]:
    """Light of all streaks, summed and cut at 1; every number comes from ``generator`` on the CPU."""
    streaks = _draw_streaks(style, height, width, generator)
    canvas = torch.zeros(height * width, device=device)
    for start in range(0, len(streaks.row), CHUNK_STREAKS):
        chunk = Streaks(*(values[start : start + CHUNK_STREAKS].to(device) for values in streaks))
        _add_streaks(canvas, chunk, height, width, style.softness)
    return canvas.reshape(height, width).clamp_max(1.0)


def _draw_streaks(style: StreakStyle, height: int, width: int, generator: torch.Generator) -> Streaks:
    """A Poisson number of streaks, spread evenly over an area that reaches a streak's length beyond the image."""
    margin = 1.5 * style.length
    area = (height + 2 * margin) * (width + 2 * margin)
    expected = style.density * area / (style.length * style.width)
    count = int(torch.poisson(torch.tensor(expected, dtype=torch.float64), generator=generator))
    layers = int(style.layers)
    # Depth per layer: far layers have shorter, thinner and fainter streaks; the wind turns a little between them.
    depth = 0.6 + 0.4 * torch.rand(layers, generator=generator)
    depth[0] = 1.0
    wind = 12.0 * torch.randn(layers, generator=generator)
    wind[0] = 0.0
    place = torch.rand(2, count, generator=generator)
    vary = torch.randn(3, count, generator=generator)
    layer = torch.randint(0, layers, (count,), generator=generator)
    faint = torch.rand(count, generator=generator)
    angle = (style.angle + wind[layer] + style.spread * vary[0]).clamp(-70, 70) * (math.pi / 180)
    length = style.length * depth[layer] * torch.exp(0.35 * vary[1] - 0.06).clamp(0.3, 2.5)
    breadth = style.width * depth[layer].sqrt() * torch.exp(0.25 * vary[2] - 0.03).clamp(0.5, 2.0)
    # Full width at half maximum = 2.355 sigma; along a row the cross-section is wider by 1 / cos.
    sigma = (breadth / 2.355).clamp_min(0.3) / torch.cos(angle)
    return Streaks(
        row=place[0] * (height + 2 * margin) - margin,
        column=place[1] * (width + 2 * margin) - margin,
        half_rows=0.5 * length * torch.cos(angle),
        slope=torch.tan(angle),
        sigma_columns=sigma,
        light=style.brightness * depth[layer] * (1.0 - style.variety * faint),
    )


def _add_streaks(canvas: Tensor, streaks: Streaks, height: int, width: int, softness: float) -> None:
    """Add each streak to the flat ``canvas``: row by row, a Gaussian across and fading ends along."""
    first = (streaks.row - streaks.half_rows).ceil().clamp_min(0)
    last = (streaks.row + streaks.half_rows).floor().clamp_max(height - 1)
    rows = (last - first + 1).clamp_min(0).long()
    which = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), rows)
    within = torch.arange(len(which), device=rows.device) - (rows.cumsum(0) - rows)[which]
    row = first[which] + within
    offset = row - streaks.row[which]
    centre = streaks.column[which] + offset * streaks.slope[which]
    sigma = streaks.sigma_columns[which]
    visible = (centre > -3 * sigma) & (centre < width - 1 + 3 * sigma)
    which, row, offset, centre, sigma = (values[visible] for values in (which, row, offset, centre, sigma))
    inside = 1.0 - (offset / streaks.half_rows[which]).abs()
    fade = (inside / max(softness, 1e-3)).clamp(0.0, 1.0)
    light = streaks.light[which] * fade * fade * (3.0 - 2.0 * fade)
    if not len(which):
        return
    reach = math.ceil(2.5 * float(sigma.max()))
    columns = centre.round()[:, None] + torch.arange(-reach, reach + 1, device=centre.device)
    across = torch.exp(-0.5 * ((columns - centre[:, None]) / sigma[:, None]) ** 2)
    value = (light[:, None] * across) * ((columns >= 0) & (columns < width))
    cell = row[:, None] * width + columns.clamp(0, width - 1)
    canvas.index_add_(0, cell.long().flatten(), value.flatten())
