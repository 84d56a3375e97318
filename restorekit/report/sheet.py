"""The contact sheet: each photo with two windows, and every restorer's answer inside them, enlarged.

- Windows are enlarged by a whole factor with nearest neighbour: what you see is the pixels, not a filter's taste.
- Drawn at twice the usual size, for dense screens and print; at most 2400 px wide.
- The font is matplotlib's DejaVu Sans (Pillow's own lacks é, × and ∞); without it, Pillow's own.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from restorekit.errors import UsageError
from restorekit.report.crops import Box, choose_windows
from restorekit.report.error_map import colours_of, error_levels, error_map
from restorekit.report.record import CLEAN, Picture, Report
from restorekit.report.renderings import format_number

__all__ = ["draw_sheet", "shown_labels"]

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (26, 28, 32)
MUTED: Colour = (100, 106, 116)
LINE: Colour = (222, 225, 230)
WINDOW_COLOURS: tuple[Colour, Colour] = ((196, 78, 0), (0, 98, 179))
"""Orange and blue: apart for every kind of colour vision, dark enough to carry white letters."""

MARGIN, GAP, CELL, FRAME = 48, 12, 300, 5
"""Outer margin, gap between cells, side of a cell, and width of a frame, in px."""
THUMBNAIL = 2 * CELL + GAP
MIN_THUMBNAIL = 400
"""Room for the caption above a narrow thumbnail."""
MAP = 147
"""Side of an error map: two of them under each cell."""
CAPTION = 84
"""Height of the two lines above a picture, in px."""
COLUMNS = 5
"""Cells beside a thumbnail: 2 * 48 + 612 + 36 + 5 * 312 - 12 = 2292 px, under the 2400 px limit."""


def draw_sheet(report: Report, *, pictures: int = 4) -> Image.Image:
    """Draw the first ``pictures`` images of the report: thumbnail, two windows, every shown restorer.

    Shown are the degraded input, the best classical restorer, all models and the clean reference, as far as the
    report has their pictures.

    Raises:
        UsageError: the report has no pictures, or those of one image differ in size.
    """
    names = [name for name in report.images if name in report.pictures][:pictures]
    if not names:
        raise UsageError("sheet: expected a report with pictures, got none; compare again to draw them")
    labels = shown_labels(report)
    shown = {
        name: {label: report.pictures[name][label] for label in labels if label in report.pictures[name]}
        for name in names
    }
    for name, drawn in shown.items():
        check_sizes(name, drawn)
    # as wide as the widest thumbnail, so that a set of portraits leaves no gap
    column = max(MIN_THUMBNAIL, *(_thumbnail_size(next(iter(drawn.values())))[0] for drawn in shown.values()))
    blocks = [_draw_block(report, name, drawn, column) for name, drawn in shown.items()]
    width = max(block.width for block in blocks)
    strips = [_draw_header(report, len(names), width), *blocks, _draw_footer(report, width)]
    sheet = Image.new("RGB", (width, sum(strip.height for strip in strips)), PAPER)
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


def shown_labels(report: Report) -> list[str]:
    """Labels worth showing: degraded input, best classical restorer (all without a reference), models, clean."""
    return [row.model.name for row in report.table(classical_rows=1).rows] + [CLEAN]


def _draw_block(report: Report, name: str, pictures: dict[str, Picture], column: int) -> Image.Image:
    """One photo: thumbnail on the left, the labels' windows in lines of at most ``COLUMNS`` beside it."""
    labels = list(pictures)
    windows, factor = _windows(report, pictures)
    lines = -(-len(labels) // COLUMNS)
    per_line = -(-len(labels) // lines)
    strip = MAP + GAP if CLEAN in pictures else 0
    line_height = CAPTION + 2 * CELL + 3 * GAP + strip
    left = MARGIN + column + 3 * GAP
    width = left + max(2, per_line) * (CELL + GAP) - GAP + MARGIN
    block = Image.new("RGB", (width, lines * line_height + 2 * GAP), PAPER)
    _paste_thumbnail(block, name, pictures.get(CLEAN, pictures[labels[0]]), windows, column)
    for index, label in enumerate(labels):
        x = left + (index % per_line) * (CELL + GAP)
        y = (index // per_line) * line_height
        _label(block, (x, y), label, *_score_text(report, name, label, labels))
        for row, (window, colour) in enumerate(zip(windows, WINDOW_COLOURS, strict=True)):
            at = (x, y + CAPTION + row * (CELL + GAP))
            _paste_cell(block, at, window.cut(pictures[label]), factor, colour)
        if strip:
            _paste_errors(block, (x, y + CAPTION + 2 * (CELL + GAP)), label, pictures, windows)
    return block


def _windows(report: Report, pictures: dict[str, Picture]) -> tuple[tuple[Box, Box], int]:
    """Two windows of the photo and the whole factor they are enlarged by: 4 for small photos, 2 for large ones."""
    names = list(pictures)
    degraded = pictures.get(report.input.name, pictures[names[0]])
    models = [model.name for model in report.models if model.kind == "model" and model.name in pictures]
    reference = pictures[CLEAN] if CLEAN in pictures else pictures[models[0] if models else names[-1]]
    shortest = min(degraded.shape[:2])
    factor = 4 if shortest < 600 else 3 if shortest < 1400 else 2
    return choose_windows(reference, degraded, side_px=CELL // factor), factor


def _thumbnail_size(picture: Picture) -> tuple[int, int]:
    """Width and height of the thumbnail, in px, at the picture's aspect."""
    height, width = picture.shape[:2]
    scale = min(THUMBNAIL / width, THUMBNAIL / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _paste_thumbnail(block: Image.Image, name: str, picture: Picture, windows: Sequence[Box], column: int) -> None:
    """The whole photo with the windows drawn on it, its name and its size above."""
    photo = Image.fromarray(picture)
    size = _thumbnail_size(picture)
    scale = size[0] / photo.width
    x, y = MARGIN, CAPTION
    block.paste(photo.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC), (x, y))
    draw = ImageDraw.Draw(block)
    for window, colour, letter in zip(windows, WINDOW_COLOURS, "AB", strict=True):
        left, top = x + window.left * scale, y + window.top * scale
        right, bottom = left + window.width * scale, top + window.height * scale
        draw.rectangle((left - 2, top - 2, right + 2, bottom + 2), outline=PAPER, width=9)
        draw.rectangle((left, top, right, bottom), outline=colour, width=FRAME)
        tag_top = top - 36 if top - 36 >= y else top
        draw.rectangle((left, tag_top, left + 34, tag_top + 36), fill=colour)
        draw.text((left + 17, tag_top + 18), letter, font=font(26, bold=True), fill=PAPER, anchor="mm")
    draw.text((x, 4), fit(name, font(28, bold=True), column), font=font(28, bold=True), fill=INK)
    draw.text((x, 42), f"{photo.width} × {photo.height} px", font=font(24), fill=MUTED)


def _paste_cell(block: Image.Image, at: tuple[int, int], pixels: Picture, factor: int, colour: Colour) -> None:
    """A window's pixels, enlarged and centred in its cell, framed in the window's colour."""
    window = Image.fromarray(pixels).resize(
        (pixels.shape[1] * factor, pixels.shape[0] * factor), Image.Resampling.NEAREST
    )
    left, top = at[0] + (CELL - window.width) // 2, at[1] + (CELL - window.height) // 2
    block.paste(window, (left, top))
    frame = (left, top, left + window.width - 1, top + window.height - 1)
    ImageDraw.Draw(block).rectangle(frame, outline=colour, width=FRAME)


def _paste_errors(
    block: Image.Image, at: tuple[int, int], label: str, pictures: dict[str, Picture], windows: Sequence[Box]
) -> None:
    """The error of both windows, smaller, on the scale that the input's error sets; under the reference, the scale."""
    clean, degraded = pictures[CLEAN], next(iter(pictures.values()))
    levels = error_levels(degraded, clean)
    draw = ImageDraw.Draw(block)
    if label == CLEAN:
        bar = colours_of(np.linspace(0.0, 1.0, CELL)[None].repeat(28, axis=0))
        block.paste(Image.fromarray(bar), (at[0], at[1] + 8))
        draw.text((at[0], at[1] + 44), "absolute error, levels of 255", font=font(20), fill=MUTED)
        draw.text((at[0], at[1] + 72), "0", font=font(22), fill=MUTED)
        draw.text((at[0] + CELL, at[1] + 72), f"≥ {levels:.0f}", font=font(22), fill=MUTED, anchor="ra")
        return
    for index, (window, colour) in enumerate(zip(windows, WINDOW_COLOURS, strict=True)):
        errors = error_map(window.cut(pictures[label]), window.cut(clean), levels=levels)
        scale = MAP / max(window.width, window.height)
        size = max(1, round(window.width * scale)), max(1, round(window.height * scale))
        left = at[0] + index * (CELL - MAP)
        block.paste(Image.fromarray(errors).resize(size, Image.Resampling.BOX), (left, at[1]))
        draw.rectangle((left, at[1], left + size[0] - 1, at[1] + size[1] - 1), outline=colour, width=3)


def _label(block: Image.Image, at: tuple[int, int], label: str, score: str, best: bool) -> None:
    draw = ImageDraw.Draw(block)
    bold = font(28, bold=True)
    draw.text((at[0], at[1] + 4), fit(label, bold, CELL), font=bold, fill=INK)
    face = font(24, bold=best)
    draw.text((at[0], at[1] + 42), fit(score, face, CELL), font=face, fill=INK if best else MUTED)


def _score_text(report: Report, name: str, label: str, labels: Sequence[str]) -> tuple[str, bool]:
    """The first metric of ``label`` on this image, and whether it is the best of those shown."""
    if label == CLEAN:
        return "reference", False
    if not report.metrics:
        return "", False
    metric = report.metrics[0]
    values = {
        other: round(found.scores[metric.address], metric.decimals)
        for other in labels
        if (found := report.find(name, other)) and metric.address in found.scores
    }
    if label not in values:
        return f"no {metric.name}", False
    best = max(values.values()) if metric.higher_is_better else min(values.values())
    text = f"{metric.name} {format_number(values[label], metric.decimals)} {metric.unit}".rstrip()
    return text, values[label] == best and len(values) > 1


def _draw_header(report: Report, drawn: int, width: int) -> Image.Image:
    header = Image.new("RGB", (width, 150), PAPER)
    draw = ImageDraw.Draw(header)
    title = f"Comparison under {report.run.degradation}" if report.run.degradation else "Comparison"
    draw.text((MARGIN, 36), fit(title, font(40, bold=True), width - 2 * MARGIN), font=font(40, bold=True), fill=INK)
    shown = (
        f"{drawn} of {len(report.images)} images" if drawn < len(report.images) else f"{drawn} image{'s' * (drawn > 1)}"
    )
    draw.text((MARGIN, 92), f"{shown} · restorekit {report.run.version}", font=font(24), fill=MUTED)
    return header


def _draw_footer(report: Report, width: int) -> Image.Image:
    compared = "the reference" if report.has_reference else "the first model"
    lines = [
        f"Window A: most detail. Window B: largest difference between the input and {compared}.",
        "Enlarged by a whole factor, nearest neighbour: every square is one pixel."
        + " Below: errors of A and B, one scale for a photo." * report.has_reference,
        *(f"{metric.name}: {metric.address}" for metric in report.metrics[:1]),
    ]
    footer = Image.new("RGB", (width, len(lines) * 34 + MARGIN + GAP), PAPER)
    draw = ImageDraw.Draw(footer)
    draw.line((MARGIN, 0, width - MARGIN, 0), fill=LINE, width=2)
    for index, line in enumerate(lines):
        draw.text((MARGIN, 18 + index * 34), fit(line, font(22), width - 2 * MARGIN), font=font(22), fill=MUTED)
    return footer


def check_sizes(name: str, pictures: dict[str, Picture]) -> None:
    """Raise UsageError unless all pictures of an image are of one size."""
    sizes = {label: f"{picture.shape[1]}x{picture.shape[0]}" for label, picture in pictures.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{label} {size}" for label, size in sizes.items())
        raise UsageError(f"{name}: expected pictures of one size, got {listed}")


def font(size: int, *, bold: bool = False) -> Font:
    """DejaVu Sans at ``size`` px, from matplotlib's data (found, not imported), or Pillow's own font."""
    spec = find_spec("matplotlib")
    if spec is not None and spec.origin is not None:
        file = Path(spec.origin).parent / "mpl-data/fonts/ttf" / f"DejaVuSans{'-Bold' if bold else ''}.ttf"
        if file.is_file():
            return ImageFont.truetype(str(file), size)
    return ImageFont.load_default(size)


def fit(text: str, face: Font, width: int) -> str:
    """``text``, or as much of its beginning as fits into ``width`` px, with an ellipsis."""
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
