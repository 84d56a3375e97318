"""How far a U-Net of local blocks, and the encoder's maps that it uses, look to each side: exact, by intervals."""

from dataclasses import dataclass

__all__ = ["ENCODER_CONVOLUTIONS", "LocalShape", "radius_px"]

Interval = tuple[int, int]
"""First and last index along one axis."""

ENCODER_CONVOLUTIONS = (3, 2, 2)
"""3x3 convolutions of the style encoder before each of its maps; the last of each stage has stride 2."""


@dataclass(frozen=True)
class LocalShape:
    """What of a ``ConStyleUNet`` decides how far it looks; every reach in px of its own level, to each side."""

    stride: int
    """Pixels of the image that are one pixel of the finest level, along an axis."""
    encoder: tuple[int, ...]
    """Reach of each encoder level's blocks, finest first, the bottleneck last."""
    decoder: tuple[int, ...]
    """Reach of each decoder level's blocks, finest first."""
    tail: int
    """Reach of what follows the decoder."""
    maps: tuple[int | None, ...]
    """Index of the style encoder's map beside the features that leave each level; None where there is none."""


def radius_px(shape: LocalShape) -> int:
    """Radius of the receptive field in px: the largest over all places of an output pixel in its cell.

    The cells are what the network's strides make of the image.
    """
    cell = shape.stride * 2 ** len(shape.decoder)
    reaches = []
    for place in range(cell):
        low, high = _decoded(shape, _wider((place // shape.stride,) * 2, shape.tail), 0)
        reaches.append(max(place - low, high - place))
    return max(reaches)


def _decoded(shape: LocalShape, span: Interval, level: int) -> Interval:
    """From what leaves a decoder level to the image, in px."""
    span = _wider(span, shape.decoder[level])
    below = _wider((span[0] // 2, span[1] // 2), 1)
    deepest = level == len(shape.decoder) - 1
    deeper = _encoded(shape, below, level + 1) if deepest else _decoded(shape, below, level + 1)
    return _union(_encoded(shape, span, level), deeper)


def _encoded(shape: LocalShape, span: Interval, level: int) -> Interval:
    """From what leaves an encoder level (the bottleneck is the last) to the image, in px."""
    span = _wider(span, shape.encoder[level])
    if level == 0:
        return _finer(_wider(span, 1), shape.stride)
    features = _encoded(shape, _wider(_finer(span, 2), 1), level - 1)
    index = shape.maps[level - 1]
    return features if index is None else _union(features, _mapped(span, index))


def _mapped(span: Interval, index: int) -> Interval:
    """From a map of the style encoder to the image, in px."""
    for convolutions in reversed(ENCODER_CONVOLUTIONS[: index + 1]):
        strided = 2 * span[0] - 1, 2 * span[1] + 1
        span = _wider(strided, convolutions - 1)
    return span


def _wider(span: Interval, reach: int) -> Interval:
    return span[0] - reach, span[1] + reach


def _finer(span: Interval, factor: int) -> Interval:
    return factor * span[0], factor * span[1] + factor - 1


def _union(first: Interval, second: Interval) -> Interval:
    return min(first[0], second[0]), max(first[1], second[1])
