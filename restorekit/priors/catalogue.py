"""The feature priors by name: from a text such as ``sd:FOLDER:timestep=100,layer=mid`` to a ``FeaturePrior``.

A text is ``SOURCE[:NAME[:WEIGHTS]][:KEY=VALUE,...]``. Only the text is checked here; weights are looked for on first
use.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from restorekit.core.options import check_options, expected_value
from restorekit.core.prior import FeaturePrior
from restorekit.errors import SpecError, did_you_mean
from restorekit.priors.blip import load_blip, load_blip2
from restorekit.priors.frame import FeatureNetwork, NetworkPrior, PriorOptions, SizeOptions
from restorekit.priors.image_statistics import StatisticsPrior
from restorekit.priors.openclip import load_open_clip
from restorekit.priors.stable_diffusion import StableDiffusionOptions, load_stable_diffusion
from restorekit.priors.timm_models import load_timm
from restorekit.priors.transformers_clip import load_clip

__all__ = ["SOURCES", "PriorRow", "Source", "describe_priors", "load_prior"]


@dataclass(frozen=True)
class Source:
    """One library's networks, as they are named in a text."""

    form: str
    """How a text is written; what is in brackets may be left away."""
    summary: str
    """What the features are, and how long a vector is."""
    default: tuple[str, ...]
    """NAME, and WEIGHTS where there are any, if a text does not give them."""
    parts: int
    """How many parts NAME and WEIGHTS are at most; the last may contain colons."""
    options: type[PriorOptions]
    """What may stand after them."""
    load: Callable[..., FeatureNetwork] | None
    """Called with NAME, WEIGHTS and ``options=``; None: there is nothing to load, and nothing may follow the name."""


SOURCES: dict[str, Source] = {
    "statistics": Source(
        "statistics",
        "31 measurements of the image itself: brightness, sharpness, noise, haze, blocks; no download",
        (),
        0,
        PriorOptions,
        None,
    ),
    "open_clip": Source(
        "open_clip[:MODEL:TAG or FILE]",
        "CLIP's image embedding; ViT-B-32:openai is the prior of PTG-RM (512 values)",
        ("ViT-B-32", "openai"),
        2,
        SizeOptions,
        load_open_clip,
    ),
    "clip": Source(
        "clip[:FOLDER or HUB NAME]",
        "CLIP's image embedding, in transformers' layout (512 values for ViT-B/32)",
        ("openai/clip-vit-base-patch32",),
        1,
        SizeOptions,
        load_clip,
    ),
    "blip": Source(
        "blip[:FOLDER or HUB NAME]",
        "class token of BLIP's image tower (768 values for base)",
        ("Salesforce/blip-image-captioning-base",),
        1,
        SizeOptions,
        load_blip,
    ),
    "blip2": Source(
        "blip2[:FOLDER or HUB NAME]",
        "mean answer of BLIP-2's Q-Former (768 values)",
        ("Salesforce/blip2-itm-vit-g",),
        1,
        SizeOptions,
        load_blip2,
    ),
    "sd": Source(
        "sd[:FOLDER or HUB NAME]",
        "one block of a Stable Diffusion U-Net (1.x, 2.x), averaged over the image (1280 values for mid)",
        ("stable-diffusion-v1-5/stable-diffusion-v1-5",),
        1,
        StableDiffusionOptions,
        load_stable_diffusion,
    ),
    "timm": Source(
        "timm[:MODEL[:FILE]]",
        "any image model of timm without its classifier (1280 values for MobileNetV2)",
        ("mobilenetv2_100.ra_in1k",),
        2,
        SizeOptions,
        load_timm,
    ),
}
"""First word of a text -> what it means."""


def load_prior(text: str, others: Mapping[str, Callable[[str], FeaturePrior]] | None = None) -> FeaturePrior:
    """The prior that a text names; a network is loaded on first use, see ``NetworkPrior``.

    Args:
        text: for example "statistics", "open_clip:ViT-B-32:openai:input=native", "clip:~/clip-folder",
            "sd:~/sd-folder:timestep=100,layer=mid", "timm:resnet50:weights.safetensors".
        others: priors that are made elsewhere, by their first word ("constyle", "restoration"); called with what
            follows the first colon, and listed beside ours in messages.

    Raises:
        SpecError: no prior of that name; too much in the text; unknown or impossible options (all are named).
    """
    others = others or {}
    word, _, rest = text.partition(":")
    if word in others:
        return others[word](rest)
    if word not in SOURCES:
        names = [*SOURCES, *others]
        raise SpecError(f"prior: expected one of {', '.join(names)}, got {word!r}" + did_you_mean(word, names))
    source = SOURCES[word]
    if source.load is None:
        if rest:
            raise SpecError(f"{text}: expected {source.form} and nothing more, got {rest!r}; remove it")
        return StatisticsPrior()
    named, options = _split_options(rest)
    values = _options(text, source.options, options)
    parts = tuple(named.split(":", maxsplit=source.parts - 1)) if named else ()
    if not all(parts):
        raise SpecError(f"{text}: expected {source.form}, got an empty part")
    return NetworkPrior(text, partial(source.load, *parts, *source.default[len(parts) :], options=values))


@dataclass(frozen=True)
class PriorRow:
    """One source of priors, for lists."""

    name: str
    form: str
    summary: str
    default: str
    """The text that the bare name stands for."""
    options: Mapping[str, str]
    """What may be set -> what it may be, its default and its meaning."""


def describe_priors() -> list[PriorRow]:
    """Every source with its form, default and options, in the order of ``SOURCES``."""
    return [
        PriorRow(name, source.form, source.summary, ":".join((name, *source.default)), _describe(source.options))
        for name, source in SOURCES.items()
    ]


def _split_options(text: str) -> tuple[str, str]:
    """What is named, and ``key=value,...`` after the last colon if there is any."""
    head, colon, tail = text.rpartition(":")
    if re.match(r"[a-z_]+\s*=", tail):
        return (head, tail) if colon else ("", tail)
    return text, ""


def _options(text: str, kind: type[PriorOptions], options: str) -> PriorOptions:
    """The checked options of a source, of ``kind``."""
    values: dict[str, Any] = {}
    for pair in filter(None, options.split(",")):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or key in values:
            raise SpecError(f"{text}: expected key=value once for each key, got {pair.strip()!r}")
        values[key] = value
    checked = check_options(kind, values, prefix=f"{text}: ")
    if isinstance(checked, list):
        raise SpecError("\n".join(checked))
    return checked


def _describe(options: type[PriorOptions]) -> dict[str, str]:
    return {
        name: "; ".join(filter(None, (expected_value(field), f"default {field.default}", field.description)))
        for name, field in options.model_fields.items()
    }
