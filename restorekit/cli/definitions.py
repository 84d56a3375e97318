"""One pair of folders under every definition that papers of this field print as "PSNR" or "SSIM"."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from restorekit.core.metric.protocol import parse_address

if TYPE_CHECKING:
    import rich.table

__all__ = ["DEFINITIONS", "Measured", "definitions_table", "explain", "widths"]

THIRD_AXIS = "ssim, colour as a third axis of a 3 px window"

DEFINITIONS: tuple[tuple[str, str, str], ...] = (
    ("RGB, mean of images", "psnr[rgb|per-image|u8]", "KAIR, Restormer, SwinIR"),
    ("RGB, not rounded to 8 bits", "psnr[rgb|per-image|float]", "PromptIR, AirNet; as above for 8-bit files"),
    ("RGB, one mean squared error for all images", "psnr[rgb|pooled|float]", "torchmetrics, kornia"),
    ("Y, BT.601 in 16..235", "psnr[y-studio|per-image|u8]", "BasicSR, MATLAB: deraining, super-resolution"),
    ("Y, full range", "psnr[y-full|per-image|u8]", "OpenCV gray, pyiqa"),
    ("RGB, 4 px border cut", "psnr[rgb|per-image|u8|crop4]", "x4 super-resolution"),
    ("Y in 16..235, 4 px border cut", "psnr[y-studio|per-image|u8|crop4]", "x4 super-resolution, BasicSR"),
    ("RGB, given the reference's brightness", "psnr[rgb|per-image|u8|GT-MEAN]", "LOL papers: not a blind score"),
    ("RGB, 11 px Gaussian inside the image", "ssim[rgb|u8|gauss11]", "BasicSR, Wang 2004 per channel"),
    ("RGB, 7 px box", "ssim[rgb|float|uniform7]", "scikit-image, PromptIR"),
    ("RGB, 11 px Gaussian, padded", "ssim[rgb|float|gauss11-same]", "torchmetrics, kornia"),
    ("Y, BT.601 in 16..235, 11 px Gaussian", "ssim[y-studio|u8|gauss11]", "BasicSR with test_y_channel"),
    ("Y, full range, 11 px Gaussian", "ssim[y-full|u8|gauss11]", "pyiqa, TAO"),
    ("RGB, 4 px border cut", "ssim[rgb|u8|crop4|gauss11]", "x4 super-resolution"),
    (THIRD_AXIS.partition(", ")[2], THIRD_AXIS, "scikit-image since its multichannel argument is ignored"),
)
"""What it is, its address, and who measures so. The first of each metric is what the others are compared with."""


@dataclass(frozen=True)
class Measured:
    """One definition and its number for the set."""

    metric: str
    definition: str
    value: float
    address: str
    hash: str
    """Of the protocol; "-" for what has no address here."""
    used_by: str


def explain(restored: str, clean: str, *, on_image: Callable[[str], None] | None = None) -> list[Measured]:
    """Measure a photo, or a folder of photos, against its reference under every definition.

    Args:
        restored: a photo or a folder.
        clean: its reference, or a folder of references of the same names.
        on_image: called before each image with its name.

    Raises:
        UsageError: names do not match.
        ImageError: sizes differ, or an image is smaller than a window.
    """
    from restorekit.api import score

    addresses = [address for _, address, _ in DEFINITIONS if address != THIRD_AXIS]
    mean = list(score(restored, clean, addresses, on_image=on_image).mean.items())
    measured = []
    for definition, address, used_by in DEFINITIONS:
        if address == THIRD_AXIS:
            measured.append(Measured("SSIM", definition, _third_axis(restored, clean), "-", "-", used_by))
            continue
        full, value = mean[addresses.index(address)]
        name, protocol = parse_address(full)
        measured.append(Measured(name.upper(), definition, value, full, protocol.short_hash, used_by))
    return measured


def definitions_table(measured: list[Measured]) -> "rich.table.Table":
    """All numbers, each with its distance from the first of its metric."""
    from rich.table import Table

    table = Table("metric", "definition", "value", "vs first", "used by", "address", "hash")
    for column in (2, 3):
        table.columns[column].justify = "right"
        table.columns[column].no_wrap = True
    table.columns[5].overflow = "fold"
    first: dict[str, float] = {}
    for row in measured:
        if row.metric not in first and first:
            table.add_section()
        start = first.setdefault(row.metric, row.value)
        digits = 2 if row.metric == "PSNR" else 4
        difference = "" if row.value == start else f"{row.value - start:+.{digits}f}"
        address = row.address.replace("[", r"\[")  # not markup
        table.add_row(row.metric, row.definition, f"{row.value:.{digits}f}", difference, row.used_by, address, row.hash)
    return table


def widths(measured: list[Measured]) -> str:
    """How far apart the numbers are, in a line."""
    parts = []
    for metric, unit, digits in (("PSNR", " dB", 2), ("SSIM", "", 3)):
        values = [row.value for row in measured if row.metric == metric and math.isfinite(row.value)]
        if values:
            low, high = min(values), max(values)
            parts.append(f"{metric} is {low:.{digits}f} to {high:.{digits}f}{unit}")
    return f"the same pictures: {'; '.join(parts)}. Only numbers of one hash can be compared."


def _third_axis(restored: str, clean: str) -> float:
    """Mean over images of an SSIM whose window also runs over the three colours, of 8-bit values."""
    from skimage.metrics import structural_similarity

    from restorekit.core.image.convention import Samples, convert_depth
    from restorekit.core.image.files import read_image
    from restorekit.core.image.pairs import pair_images

    def eight_bits(path: Path) -> Samples:
        samples = convert_depth(read_image(path).samples, np.uint8)
        return samples if samples.shape[2] == 3 else samples.repeat(3, axis=2)

    values = [
        structural_similarity(eight_bits(pair.degraded), eight_bits(pair.clean), win_size=3, data_range=255)
        for pair in pair_images(restored, clean)
    ]
    return math.fsum(values) / len(values)
