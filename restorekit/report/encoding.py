"""Pictures as data URIs, as exact as a page of bearable size allows.

- First choice is PNG: the page then shows the very pixels that were measured.
- If all pictures together do not fit the budget, all of them take the next coarser form, so that no restorer looks
  worse than another because of its encoding.
"""

import base64
import io
from collections.abc import Mapping
from typing import NamedTuple

from PIL import Image

from restorekit.report.record import Picture

__all__ = ["Encoded", "encode_pictures"]


class Encoded(NamedTuple):
    """One picture for a page: its address, and its size as shown, in px."""

    uri: str
    width: int
    height: int


class _Form(NamedTuple):
    label: str
    quality: int | None
    """Of JPEG, without chroma subsampling; None for PNG."""
    longest_px: int | None


_FORMS = (
    _Form("Pictures are exact (PNG).", None, None),
    _Form("Pictures are JPEG of quality 95 to keep this page small; scores come from the exact pixels.", 95, None),
    _Form(
        "Pictures are JPEG of quality 92, at most 1600 px, to keep this page small; scores come from the exact pixels.",
        92,
        1600,
    ),
    _Form(
        "Pictures are JPEG of quality 90, at most 800 px, to keep this page small; scores come from the exact pixels.",
        90,
        800,
    ),
)


def encode_pictures(
    pictures: Mapping[str, Mapping[str, Picture]], *, budget_bytes: int
) -> tuple[dict[str, dict[str, Encoded]], str]:
    """Encode all pictures in the most exact form that keeps their total within ``budget_bytes``.

    Returns:
        Encoded pictures by image and label, and a sentence that says in which form. Where not even the coarsest form
        of all images fits, the first images that fit, at least one, and the sentence says how many are missing.
    """
    for form in _FORMS[:-1]:
        encoded = _encode_all(pictures, form, budget_bytes)
        if len(encoded) == len(pictures):
            return encoded, form.label
    form = _FORMS[-1]
    encoded = _encode_all(pictures, form, budget_bytes)
    missing = len(pictures) - len(encoded)
    return encoded, form.label + (f" {missing} of {len(pictures)} images are left out for size." if missing else "")


def _encode_all(
    pictures: Mapping[str, Mapping[str, Picture]], form: _Form, budget_bytes: int
) -> dict[str, dict[str, Encoded]]:
    """Images in order until the budget is spent; the coarsest form keeps the first one whatever it takes."""
    encoded: dict[str, dict[str, Encoded]] = {}
    spent = 0
    for name, by_label in pictures.items():
        answers: dict[str, Encoded] = {}
        for label, picture in by_label.items():
            answers[label] = _encode(picture, form)
            spent += len(answers[label].uri)
            if spent > budget_bytes and (encoded or form is not _FORMS[-1]):
                return encoded
        encoded[name] = answers
    return encoded


def _encode(picture: Picture, form: _Form) -> Encoded:
    image = Image.fromarray(picture)
    if form.longest_px is not None:
        image.thumbnail((form.longest_px, form.longest_px), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if form.quality is None:
        image.save(buffer, format="PNG")
        kind = "png"
    else:
        image.save(buffer, format="JPEG", quality=form.quality, subsampling=0)
        kind = "jpeg"
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Encoded(f"data:image/{kind};base64,{text}", image.width, image.height)
