"""The degradation code of a photo as an embedding: found, laid out in two dimensions, written, drawn.

What a healthy encoder shows: photos of one degradation lie together, whatever is in them.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from restorekit.constyle.encoder import CODE_SIZE, Code
from restorekit.constyle.restorer import ConStyleRestorer
from restorekit.core.atomic import write_bytes
from restorekit.core.image.canvas import Canvas
from restorekit.core.image.convention import Images, Samples, check_images
from restorekit.core.restorer import Restorer
from restorekit.errors import UsageError

__all__ = [
    "FORMATS",
    "PLOT_FORMATS",
    "Embedded",
    "code_of",
    "embed",
    "plot_codes",
    "principal_plane",
    "write_codes",
]

Points = Float[Tensor, "batch 2"]
"""Coordinates along the first two principal axes; in the unit of the codes."""


def embed(images: Images, model: Restorer) -> Code:
    """The codes of images of any size, each seen whole and for itself.

    Args:
        images: (batch, 3, height, width), sRGB in [0, 1].
        model: a ConStyle model, as ``restorekit.load`` gives it.

    Returns:
        (batch, 128), float32 on the CPU.

    Raises:
        UsageError: a model of another kind, or one whose U-Net asks for no code.
        ImageError: no finite floating point batch of RGB images.
    """
    check_images(images, "embed")
    samples = (image.permute(1, 2, 0).float().cpu().numpy() for image in images.detach())
    return torch.cat([code_of(one, model) for one in samples]) if len(images) else torch.empty(0, CODE_SIZE)


def code_of(samples: Samples, model: Restorer) -> Code:
    """The code of one photo, (1, 128); arguments and errors as in ``embed``, memory as little as restoring takes.

    Args:
        samples: (height, width, 1 or 3), uint8, uint16 or float32.
        model: see ``embed``.
    """
    if not isinstance(model, ConStyleRestorer):
        raise UsageError(f"embed: expected a constyle model, got {model.name}; 'restorekit constyle info' lists them")
    code = model.survey(Canvas(samples, model.spec)).code
    if code is None:
        raise UsageError(f"embed: expected a model that asks for codes, got {model.name} with use_code = false")
    found: Code = code.detach().float().cpu().clone()
    return found


@dataclass(frozen=True)
class Embedded:
    """One photo as it was seen."""

    name: str
    degradation: str
    """The spec it was degraded with; "" for a photo as it is."""
    code: Float[Tensor, "128"]


def principal_plane(codes: Code) -> tuple[Points, tuple[float, float]]:
    """Where codes lie in the plane in which they differ most (principal component analysis).

    Args:
        codes: of at least two photos.

    Returns:
        Their places about the mean, in the unit of the codes, each axis so oriented that the code farthest from the
        mean along it is positive; and the share of the variance that lies along each axis.
    """
    centred = codes.double() - codes.double().mean(dim=0)
    left, sizes, _ = torch.linalg.svd(centred, full_matrices=False)
    points = (left * sizes)[:, :2]
    farthest = points.gather(0, points.abs().argmax(dim=0, keepdim=True))
    shares = sizes.square() / sizes.square().sum().clamp_min(torch.finfo(torch.float64).tiny)
    return (points * torch.where(farthest < 0, -1.0, 1.0)).float(), (float(shares[0]), float(shares[1]))


def write_codes(path: Path, photos: Sequence[Embedded]) -> None:
    """Write codes in the order given; the suffix says how: a table (.csv), a document (.json), bare numbers (.npy).

    Raises:
        KeyError: a suffix that is not in ``FORMATS``.
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, FORMATS[path.suffix](photos))


def _as_csv(photos: Sequence[Embedded]) -> bytes:
    stream = io.StringIO(newline="")
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["name", "degradation", *(f"code_{index}" for index in range(CODE_SIZE))])
    for photo in photos:
        table.writerow([photo.name, photo.degradation, *(f"{value:.9g}" for value in photo.code.tolist())])
    return stream.getvalue().encode()


def _as_json(photos: Sequence[Embedded]) -> bytes:
    rows = [{"name": photo.name, "degradation": photo.degradation, "code": photo.code.tolist()} for photo in photos]
    return json.dumps(rows, ensure_ascii=False).encode()


def _as_npy(photos: Sequence[Embedded]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, torch.stack([photo.code for photo in photos]).numpy())
    return stream.getvalue()


FORMATS: Mapping[str, Callable[[Sequence[Embedded]], bytes]] = {".csv": _as_csv, ".json": _as_json, ".npy": _as_npy}
"""Suffix of a file -> what it holds."""


def plot_codes(path: Path, photos: Sequence[Embedded]) -> None:
    """Draw the principal plane of at least two photos, one colour and shape for each degradation.

    Args:
        path: ends in a suffix of ``PLOT_FORMATS``.
        photos: in any order.
    """
    from matplotlib.figure import Figure

    points, shares = principal_plane(torch.stack([photo.code for photo in photos]))
    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    degradations = list(dict.fromkeys(photo.degradation for photo in photos))
    for index, degradation in enumerate(degradations):
        chosen = points[[photo.degradation == degradation for photo in photos]]
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        axes.plot(*chosen.T.numpy(), marker, color=colour, alpha=0.8, mew=0, label=degradation or "as it is")
    for axis, share, which in zip((axes.xaxis, axes.yaxis), shares, ("first", "second"), strict=True):
        axis.set_label_text(f"{which} principal axis of the codes ({share:.0%} of their variance)")
    axes.set_title(f"Codes of {len({photo.name for photo in photos})} photos", fontsize=10)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if degradations != [""]:
        figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    stream = io.BytesIO()
    figure.savefig(stream, format=path.suffix.removeprefix("."))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, stream.getvalue())


PLOT_FORMATS = (".png", ".pdf", ".svg")

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
"""Of Okabe and Ito, which people who see fewer colours can tell apart; their yellow is too faint on white."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""One more than colours, so that the pair of both repeats late."""
