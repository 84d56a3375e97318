"""What exactly a number means: the protocol of a metric, its address in text, and the refusal to mix protocols.

- The same ten images score 20.7 or 24.9 dB PSNR under protocols that papers all call "PSNR"; so here a number never
  travels without its address, for example ``psnr[rgb|per-image|u8|crop0]``.
- ``CHOICES`` is the one list of metric names and of what may vary; the first choice of every field is the default.
- An option that does not matter to a metric is not part of its address (PSNR has no window).
"""

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from restorekit.errors import ProtocolError, SpecError, UsageError, did_you_mean

__all__ = [
    "CHOICES",
    "MetricProtocol",
    "aggregate",
    "check_protocol",
    "default_protocol",
    "ensure_same_protocol",
    "format_address",
    "parse_address",
]


@dataclass(frozen=True)
class MetricProtocol:
    """Everything that changes a metric's number besides the two images.

    >>> print(MetricProtocol(channel="y-studio", crop=4, window="gauss11"))
    y-studio|per-image|u8|crop4|gauss11
    """

    channel: Literal["rgb", "y-studio", "y-full"] = "rgb"
    """rgb: all three; y-studio: BT.601 luma in 16..235 (BasicSR, MATLAB); y-full: 0.299 R + 0.587 G + 0.114 B."""
    average: Literal["per-image", "pooled"] = "per-image"
    """Over a set: the mean of the images' values, or (PSNR only) the PSNR of the mean squared error."""
    depth: Literal["u8", "float", "u16"] = "u8"
    """Both images are clamped to [0, 1]; then rounded to 8 bits (half to even, as when saved), to 16 bits, or not."""
    crop: int = 0
    """Border left out on every side, in px."""
    window: Literal["gauss11", "uniform7", "gauss11-same"] | None = None
    """SSIM: 11 px Gaussian inside the image (Wang, BasicSR), 7 px box (scikit-image), 11 px Gaussian padded."""
    network: str | None = None
    """LPIPS: the trunk."""
    parameters: str | None = None
    """NIQE: the name of the fitted parameters."""
    gt_mean: bool = False
    """The restored image is first scaled to the reference's mean brightness: it sees the answer. LOL papers only."""

    def __str__(self) -> str:
        return "|".join(_tokens(self).values())

    @property
    def short_hash(self) -> str:
        """Eight hexadecimal digits that change whenever the protocol does; the same in every process."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:8]


CHANNELS = ("rgb", "y-studio", "y-full")
DEPTHS = ("u8", "float", "u16")
GT_MEAN = ("", "GT-MEAN")

CHOICES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "psnr": {"channel": CHANNELS, "average": ("per-image", "pooled"), "depth": DEPTHS, "gt_mean": GT_MEAN},
    "ssim": {
        "channel": CHANNELS,
        "depth": DEPTHS,
        "window": ("gauss11", "uniform7", "gauss11-same"),
        "gt_mean": GT_MEAN,
    },
    "ms-ssim": {"channel": CHANNELS, "depth": DEPTHS, "window": ("gauss11",), "gt_mean": GT_MEAN},
    "psnr-affine": {"depth": DEPTHS},
    "lpips": {"depth": DEPTHS, "network": ("net=alex", "net=vgg", "net=squeeze"), "gt_mean": GT_MEAN},
    "niqe": {"channel": ("y-full",), "depth": DEPTHS, "parameters": ("params=restorekit-1",)},
}
"""Per metric: the options that may be written in its address, by field; the first of each is the default."""


def default_protocol(name: str) -> MetricProtocol:
    """The protocol of a bare ``name``.

    >>> print(default_protocol("lpips"))
    rgb|per-image|u8|crop0|net=alex

    Raises:
        SpecError: ``name`` is no metric.
    """
    options: dict[str, Any] = {field: _value(field, tokens[0]) for field, tokens in _choices(name).items()}
    return replace(MetricProtocol(), **options)


def format_address(name: str, protocol: MetricProtocol) -> str:
    """The full address.

    >>> format_address("psnr", MetricProtocol())
    'psnr[rgb|per-image|u8|crop0]'
    """
    return f"{name}[{protocol}]"


def parse_address(text: str, *, base: Mapping[str, MetricProtocol] | None = None) -> tuple[str, MetricProtocol]:
    """Read ``psnr``, ``psnr[y-studio|crop4]`` or a full address; options may come in any order.

    >>> name, protocol = parse_address("ssim[uniform7|float]")
    >>> name, str(protocol)
    ('ssim', 'rgb|per-image|float|crop0|uniform7')

    Args:
        text: a metric's name, then options in brackets separated by ``|``.
        base: where options that are not written come from, by metric name; for other metrics, the defaults.

    Raises:
        SpecError: unknown metric, unknown option, or two options that exclude each other.
    """
    match = re.fullmatch(r"\s*([^\[\]]+?)\s*(?:\[([^\[\]]*)\])?\s*", text)
    if match is None:
        raise SpecError(f"metric: expected NAME or NAME[OPTION|OPTION], got {text!r}")
    name = match[1].lower()
    protocol = (base or {}).get(name) or default_protocol(name)
    options: dict[str, Any] = {}
    for token in filter(None, (part.strip() for part in (match[2] or "").split("|"))):
        field, value = _read_token(name, token)
        if options.get(field, value) != value:
            raise SpecError(f"{text}: expected one {field}, got two ({options[field]} and {value}); keep one")
        options[field] = value
    return name, replace(protocol, **options)


def check_protocol(name: str, protocol: MetricProtocol) -> MetricProtocol:
    """The same protocol, if ``name`` can be measured under it.

    Raises:
        SpecError: for example a pooled SSIM, or a window for PSNR.
    """
    written = _tokens(protocol)
    for field, token in written.items():
        allowed = _allowed(name, field)
        if field != "crop" and token not in allowed:
            raise SpecError(f"{name}: expected {field} {_or_none(allowed)}, got {token}")
    for field, allowed in _choices(name).items():
        if field not in written and "" not in allowed:
            raise SpecError(f"{name}: expected {field} {_or_none(allowed)}, got none")
    if protocol.crop < 0:
        raise SpecError(f"{name}: expected crop >= 0 px, got {protocol.crop}")
    return protocol


def ensure_same_protocol(addresses: Iterable[str]) -> None:
    """Refuse to put numbers of one metric into one table when they were measured under different protocols.

    Raises:
        ProtocolError: names the metric, both addresses and every field that differs.
        SpecError: an address cannot be read.
    """
    seen: dict[str, MetricProtocol] = {}
    for address in addresses:
        name, protocol = parse_address(address)
        first = seen.setdefault(name, protocol)
        if first != protocol:
            ours, theirs = _tokens(first), _tokens(protocol)
            fields = [field for field in (ours | theirs) if ours.get(field) != theirs.get(field)]
            differences = ", ".join(f"{field}: {ours.get(field, '-')} or {theirs.get(field, '-')}" for field in fields)
            raise ProtocolError(
                f"{name}: expected one protocol in one table, got {format_address(name, first)} and "
                f"{format_address(name, protocol)} ({differences}); measure both under one protocol, "
                f"or make two tables"
            )


def aggregate(values: Sequence[float], protocol: MetricProtocol, *, weights: Sequence[float] | None = None) -> float:
    """One number for a set of images, from one value per image.

    ``per-image`` is the mean. ``pooled`` takes PSNR values in dB back to mean squared errors, averages those, and
    returns the PSNR of that average; it equals a PSNR over all pixels at once if the images have equal sizes or
    ``weights`` are their pixel counts. An infinite PSNR (identical images) makes the mean infinite.

    >>> aggregate([20.0, 40.0], MetricProtocol())
    30.0
    >>> round(aggregate([20.0, 40.0], MetricProtocol(average="pooled")), 3)
    22.967

    Raises:
        UsageError: no values, or as many weights as values are not given.
    """
    weights = [1.0] * len(values) if weights is None else weights
    if not values or len(weights) != len(values):
        raise UsageError(f"aggregate: expected one weight for each of >= 1 values, got {len(weights)}, {len(values)}")
    total = math.fsum(weights)
    if protocol.average == "per-image":
        return math.fsum(value * weight for value, weight in zip(values, weights, strict=True)) / total
    error = math.fsum(10.0 ** (-value / 10.0) * weight for value, weight in zip(values, weights, strict=True)) / total
    return -10.0 * math.log10(error) if error > 0.0 else math.inf


_PREFIX = {"network": "net=", "parameters": "params="}


def _tokens(protocol: MetricProtocol) -> dict[str, str]:
    """Field -> the text that stands for its value, in the order of an address; unset options are left out."""
    optional = {"window": protocol.window, "network": protocol.network, "parameters": protocol.parameters}
    return {
        "channel": protocol.channel,
        "average": protocol.average,
        "depth": protocol.depth,
        "crop": f"crop{protocol.crop}",
        **{field: _PREFIX.get(field, "") + value for field, value in optional.items() if value is not None},
        **({"gt_mean": "GT-MEAN"} if protocol.gt_mean else {}),
    }


def _value(field: str, token: str) -> str | bool:
    """The field's value that ``token`` stands for."""
    return token == "GT-MEAN" if field == "gt_mean" else token.removeprefix(_PREFIX.get(field, ""))


def _read_token(name: str, token: str) -> tuple[str, str | bool | int]:
    """One option of an address -> (field, value)."""
    crop = re.fullmatch(r"crop(\d+)", token.lower())
    if crop:
        return "crop", int(crop[1])
    for field in ("channel", "average", "depth", "window", "network", "parameters", "gt_mean"):
        for allowed in filter(None, _allowed(name, field)):
            if allowed.lower() == token.lower():
                return field, _value(field, allowed)
    valid = list(_options(name))
    raise SpecError(
        f"{name}: expected options among {', '.join(valid)}, cropN; got {token!r}" + did_you_mean(token, valid)
    )


def _options(name: str) -> Iterator[str]:
    for field in ("channel", "average", "depth", "window", "network", "parameters", "gt_mean"):
        yield from filter(None, _allowed(name, field))


def _allowed(name: str, field: str) -> tuple[str, ...]:
    """The texts a field may take for a metric; a field without choices keeps the protocol's own default."""
    if field in ("channel", "average", "depth"):
        return _choices(name).get(field, (str(getattr(MetricProtocol(), field)),))
    return _choices(name).get(field, ())


def _choices(name: str) -> Mapping[str, tuple[str, ...]]:
    if name not in CHOICES:
        raise SpecError(f"metric: expected one of {', '.join(CHOICES)}, got {name!r}" + did_you_mean(name, CHOICES))
    return CHOICES[name]


def _or_none(allowed: tuple[str, ...]) -> str:
    return " or ".join(filter(None, allowed)) or "none"
