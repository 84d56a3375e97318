"""What a metric is, which ones there are, and how a text such as ``psnr[y-studio|crop4]`` becomes one."""

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from restorekit.core.image.convention import Images
from restorekit.core.metric.fidelity import PSNR, SSIM, AffinePSNR, MultiScaleSSIM
from restorekit.core.metric.no_reference import NIQE
from restorekit.core.metric.perceptual import LPIPS
from restorekit.core.metric.preparation import Reference
from restorekit.core.metric.presets import preset_protocols
from restorekit.core.metric.protocol import MetricProtocol, parse_address

__all__ = ["METRICS", "Metric", "make_metric"]


@runtime_checkable
class Metric(Protocol):
    """One value per image. Averaging over images is the report's business (``protocol.aggregate``)."""

    name: ClassVar[str]
    description: ClassVar[str]
    unit: ClassVar[str]
    """"dB", or "" for a number without unit."""
    decimals: ClassVar[int]
    """Digits after the point that tables of this field print."""
    higher_is_better: ClassVar[bool]
    needs_reference: ClassVar[bool]
    protocol: MetricProtocol

    def __init__(self, protocol: MetricProtocol | None = None) -> None: ...

    @property
    def address(self) -> str:
        """Name and protocol: two numbers may stand in one table only if their addresses agree."""
        ...

    def score(self, restored: Images, reference: Reference | None) -> Float[Tensor, "batch"]:
        """One value per image, on the images' device; a metric without reference ignores ``reference``.

        Raises:
            ImageError: no usable pair of images.
        """
        ...


METRICS: Mapping[str, type[Metric]] = {
    metric.name: metric  # type: ignore[misc]
    for metric in (PSNR, SSIM, MultiScaleSSIM, AffinePSNR, LPIPS, NIQE)
}
"""Every metric by name; ``METRICS[name].description`` is the line a help text shows."""


def make_metric(text: str, *, preset: str | None = None) -> Metric:
    """The metric that ``text`` names, under the protocol it spells out.

    >>> make_metric("psnr[crop4]", preset="basicsr-y").address
    'psnr[y-studio|per-image|u8|crop4]'

    Args:
        text: a name or an address; see ``protocol.parse_address``.
        preset: a key of ``presets.PRESETS``: where options that ``text`` leaves out come from.

    Raises:
        SpecError: unknown metric, option or preset; the message lists the valid ones.
        DependencyError: LPIPS without its library or the weights of its trunk.
    """
    name, protocol = parse_address(text, base=preset_protocols(preset) if preset else None)
    return METRICS[name](protocol)
