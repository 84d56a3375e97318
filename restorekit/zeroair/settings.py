"""Everything a ZeroAIR recipe may say: which diffusion model, how it samples, how often, in what windows.

The diffusion model of this package can be trained, so the settings of its training are here too.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from restorekit.errors import UsageError, did_you_mean
from restorekit.zeroair.config import ZeroAIRConfig
from restorekit.zeroair.presets import ABLATIONS, PRESETS
from restorekit.zeroair.prior_task import PriorConfig

__all__ = ["PoolSettings", "ZeroAIRSettings"]

DEFAULT_PRESET = "blind"

VGG16 = "timm/vgg16.tv_in1k"
"""torchvision's weights of VGG-16, which the authors use, on the Hugging Face hub."""


class PoolSettings(BaseModel):
    """The clean images of ``sampling.auxiliary = "pool"``: samples without guidance, made once for each size.

    They have the size of ``fit.crop_px``. Of 64 px, these eight cost what 25 evaluations of one 256 px image do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    count: int = Field(default=8, ge=1, le=256)
    """Images per noise level."""
    steps: int = Field(default=50, ge=1)
    """Evaluations of the diffusion model for each of them."""
    levels: int = Field(default=16, ge=1)
    """Noise levels that are kept, evenly spaced over these steps."""


class ZeroAIRSettings(PriorConfig):
    """The ``[config]`` table of a ZeroAIR recipe; network, weighting and gamma are for training alone."""

    preset: str = DEFAULT_PRESET
    """Where ``sampling`` starts from: reference-dehaze, reference-low-light, reference-denoise, blind, fast, sample,
    proximal or gdp."""
    ablations: tuple[str, ...] = ()
    """Rows of the paper's ablation tables, put onto the preset in this order; such as no-stage-2 or gan-lsgan."""
    sampling: ZeroAIRConfig = PRESETS[DEFAULT_PRESET]
    """One run; what is left out is the preset's."""

    prior: str | None = None
    """The diffusion model: a folder in diffusers' layout, or a name on the Hugging Face hub. None: the one in
    ``weights``, or without either the one that ships."""
    revision: str | None = None
    """Branch, tag or commit of a ``prior`` on the hub."""
    weights: str | None = None
    """A weights.safetensors that ``restorekit zeroair train`` wrote: a compact diffusion model."""
    vgg16: str = VGG16
    """Where a weight named features is not 0: VGG-16 with torchvision's names, a .safetensors file or a hub name."""

    samples: Annotated[int, Field(ge=1, le=1000)] = 1
    """Runs per image with different noise; the result is their mean, and their deviation says where to doubt it."""
    window_px: int | None = Field(default=None, ge=16)
    """Side of the windows in which the diffusion model sees a larger image; None: the size it was trained on, or 1024
    for one that was trained for any."""
    overlap: float = Field(default=0.25, ge=0, lt=1)
    """The least share of a window that its neighbour sees too."""
    windows_at_once: int = Field(default=4, ge=1)
    """Windows the diffusion model predicts together; lower it where memory is short."""
    start_from: str | None = None
    """A classical restorer, such as gamma or nlm, whose result a warm start begins from; None: the degraded image."""
    pool: PoolSettings = PoolSettings()
    """Used with ``sampling.auxiliary = "pool"`` alone."""
    compile: bool = False
    """torch.compile the diffusion model: minutes at first, then faster; needs a C++ compiler on a CPU."""

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, value: str) -> str:
        return _known(value, PRESETS)

    @field_validator("ablations")
    @classmethod
    def _known_ablations(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_known(value, ABLATIONS) for value in values)

    @model_validator(mode="before")
    @classmethod
    def _preset_fills_sampling(cls, values: Any) -> Any:
        """The preset with its ablations under what is given of ``sampling``; bad names are left to their fields."""
        if not isinstance(values, Mapping):
            return values
        name, ablations = values.get("preset", DEFAULT_PRESET), values.get("ablations", ())
        given = values.get("sampling", {})
        given = given.model_dump() if isinstance(given, ZeroAIRConfig) else given
        if name not in PRESETS or not isinstance(given, Mapping) or any(row not in ABLATIONS for row in ablations):
            return values
        config = PRESETS[name]
        for row in ablations:
            config = ABLATIONS[row](config)
        return {**values, "sampling": _merged(config.model_dump(), given)}

    @model_validator(mode="after")
    def _one_diffusion_model(self) -> "ZeroAIRSettings":
        if self.prior is not None and self.weights is not None:
            raise ValueError(f"prior: expected nothing beside weights = {self.weights}, got {self.prior}; drop one")
        if self.revision is not None and self.prior is None:
            raise ValueError(f"revision: expected a prior on the hub that it belongs to, got {self.revision} alone")
        if self.samples > 1 and self.sampling.estimate == "mean":
            raise ValueError(
                f'samples: expected 1 beside sampling.estimate = "mean", which is one image, got {self.samples}; '
                'take preset "sample"'
            )
        if self.start_from is not None and self.sampling.start_snr is None:
            raise ValueError(
                f"start_from: expected a warm start, got {self.start_from} without one; set sampling.start_snr = 0.026"
            )
        return self

    def changed(self, **changes: Any) -> "ZeroAIRSettings":
        """These settings with others in place; a new ``preset`` or new ``ablations`` make all of ``sampling`` anew.

        Raises:
            UsageError: they do not fit together.
        """
        kept = self.model_dump(exclude={"sampling"} if {"preset", "ablations"} & changes.keys() else set())
        try:
            return ZeroAIRSettings.model_validate(_merged(kept, changes))
        except ValueError as error:
            raise UsageError(f"zeroair: {error}") from None


def _known(value: str, names: Mapping[str, Any]) -> str:
    if value not in names:
        raise ValueError(f"expected one of {', '.join(names)}, got {value!r}" + did_you_mean(value, names))
    return value


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``changes`` over ``base``, table by table; lists are replaced, not joined, and nothing empties a table."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged
