"""Frozen diffusion models over RGB pixels: what a method asks of one, and any diffusers ``UNet2DModel`` as one.

- Pixels are in [-1, 1] here and nowhere else; ``to_signed`` and ``to_unsigned`` are the border.
- A prior predicts; the sampling mathematics is diffusers' (``make_scheduler``). What the network predicts (noise, the
  clean image, or v) and whether it predicts a variance is the scheduler's business, read from its configuration.
"""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.errors import DependencyError, ModelError, UsageError
from restorekit.priors.sources import is_path

__all__ = [
    "DiffusersPrior",
    "DiffusionPrior",
    "Prediction",
    "SamplerKind",
    "SignedImages",
    "load_pixel_diffusion",
    "make_scheduler",
    "to_signed",
    "to_unsigned",
]

SignedImages = Float[Tensor, "batch 3 height width"]
"""RGB, sRGB-encoded; a clean image is in [-1, 1], a noisy one has about unit variance."""

Prediction = Float[Tensor, "batch planes height width"]
"""What the network says: 3 planes of noise, clean image or v, and 3 more if it says a variance as well."""

SamplerKind = Literal["ddpm", "ddim"]


@runtime_checkable
class DiffusionPrior(Protocol):
    """A frozen diffusion model over images."""

    size_px: int | None
    """Side of the images it was trained on; None: any."""
    multiple_of: int
    """Height and width must be multiples of this, in px."""
    variance_channels: bool
    """Whether a prediction has six channels."""
    scheduler_config: Mapping[str, Any]
    """Of a diffusers scheduler: noise schedule, kind of prediction, clipping."""

    def predict(self, noisy: SignedImages, timestep: int) -> Prediction:
        """(batch, 3 or 6, height, width), in the dtype of ``noisy``, without gradient; timestep 0 is the clean end."""
        ...


class DiffusersPrior:
    """A ``UNet2DModel`` and the configuration of its scheduler.

    Args:
        network: takes (batch, 3, height, width) and a timestep, returns an object whose ``sample`` has 3 or 6 channels.
            It is frozen here.
        scheduler_config: of any diffusers scheduler that the network was trained or published with.
        precision: "float32", or "bfloat16" / "float16" for autocast, which keeps weights and norms in float32.

    Raises:
        ModelError: the network does not work on RGB pixels, or wants class labels.
    """

    def __init__(self, network: nn.Module, scheduler_config: Mapping[str, Any], *, precision: str = "float32") -> None:
        config = _config_of(network)
        if config.get("in_channels", 3) != 3 or config.get("out_channels", 3) not in (3, 6):
            raise ModelError(
                f"diffusion prior: expected 3 channels in and 3 or 6 out, got {config.get('in_channels')} and "
                f"{config.get('out_channels')}; latent and gray models cannot be used here"
            )
        if config.get("num_class_embeds") is not None or config.get("class_embed_type") is not None:
            raise ModelError("diffusion prior: expected an unconditional model, got one that wants class labels")
        self.network = network.eval().requires_grad_(False)
        self.scheduler_config: Mapping[str, Any] = dict(scheduler_config)
        self.precision = precision
        size = config.get("sample_size")
        self.size_px: int | None = int(size if isinstance(size, int) else min(size)) if size else None
        self.multiple_of = int(2 ** (len(config.get("block_out_channels", (1,))) - 1))
        self.variance_channels = config.get("out_channels", 3) == 6

    def to(self, device: torch.device, precision: str = "float32") -> "DiffusersPrior":
        """The same prior on ``device``; the network is moved, not copied."""
        return DiffusersPrior(self.network.to(device), self.scheduler_config, precision=precision)

    @torch.no_grad()
    def predict(self, noisy: SignedImages, timestep: int) -> Prediction:
        """See ``DiffusionPrior``."""
        dtype = getattr(torch, self.precision)
        with torch.autocast(noisy.device.type, dtype=dtype, enabled=dtype != torch.float32):
            prediction: Prediction = self.network(noisy, timestep).sample
        return prediction.to(noisy.dtype)


def load_pixel_diffusion(name: str | Path, *, revision: str | None = None) -> DiffusersPrior:
    """A prior from a folder or the Hugging Face hub, in diffusers' layout (``unet/`` and ``scheduler/``, or flat).

    Args:
        name: a folder, or a hub name such as "google/ddpm-celebahq-256".
        revision: branch, tag or commit on the hub.

    Raises:
        DependencyError: the files cannot be had (absent, or no network).
        ModelError: they do not hold a pixel diffusion model.
    """
    import diffusers

    unet: Any = diffusers.UNet2DModel
    folder, reasons = Path(name), []
    layouts: tuple[tuple[str | None, str | None], ...] = (("unet", "scheduler"), (None, None))  # google/ddpm-* are flat
    if is_path(str(name)) and not folder.is_dir():
        raise DependencyError(
            f"{name}: expected a folder that holds unet/ and scheduler/, got nothing; check the path, or give a name "
            "on the hub such as google/ddpm-celebahq-256"
        )
    if folder.is_dir():
        layouts = layouts[:1] if (folder / "unet").is_dir() else layouts[1:]
    for network_folder, scheduler_folder in layouts:
        try:
            network = unet.from_pretrained(name, subfolder=network_folder, revision=revision)
            config = diffusers.DDPMScheduler.load_config(name, subfolder=scheduler_folder, revision=revision)
        except (OSError, ValueError) as error:  # diffusers raises OSError for files that are absent or unreachable
            reasons.append(str(error).splitlines()[0])
            continue
        return DiffusersPrior(network, config)
    raise DependencyError(
        f"{name}: expected a diffusers UNet2DModel with its scheduler, got none ({'; '.join(reasons)}); give a folder "
        "that holds unet/ and scheduler/, or a name on the hub"
    )


def make_scheduler(
    prior: DiffusionPrior, kind: SamplerKind = "ddpm", *, steps: int, timesteps: Sequence[int] | None = None
) -> Any:
    """diffusers' scheduler for a prior, with its timesteps set: from the last timestep of training to the clean end.

    Args:
        prior: whose noise schedule, kind of prediction and clipping to use.
        kind: ddpm spaces the steps linearly including both ends; ddim needs equal gaps.
        steps: number of steps.
        timesteps: falling, in place of ``steps``; ddpm only.

    Raises:
        UsageError: more steps than timesteps, or a number of ddim steps that does not divide them.
    """
    import diffusers

    total = int(prior.scheduler_config.get("num_train_timesteps", 1000))
    if timesteps is not None and max(timesteps) >= total:
        raise UsageError(f"timesteps: expected 0 to {total - 1} for this diffusion model, got {max(timesteps)}")
    if timesteps is None and steps > total:
        raise UsageError(f"steps: expected at most the {total} timesteps of the diffusion model, got {steps}")
    if kind == "ddim":
        if total % steps:  # diffusers assumes gaps of total // steps, whatever the timesteps are
            raise UsageError(
                f"steps: expected a divisor of {total} for ddim, got {steps}; take {_nearest_divisor(total, steps)}"
            )
        scheduler = _scheduler(diffusers.DDIMScheduler, prior, timestep_spacing="trailing")
        scheduler.set_timesteps(steps)
        return scheduler
    variance = _variance_type(prior)
    scheduler = _scheduler(diffusers.DDPMScheduler, prior, timestep_spacing="linspace", variance_type=variance)
    if timesteps is None:
        scheduler.set_timesteps(steps)
    else:
        scheduler.set_timesteps(timesteps=list(timesteps))
    return scheduler


def to_signed(images: Images) -> SignedImages:
    """[0, 1] to [-1, 1]."""
    return images * 2.0 - 1.0


def to_unsigned(images: SignedImages) -> Images:
    """[-1, 1] to [0, 1]."""
    return (images + 1.0) / 2.0


def _scheduler(kind: Any, prior: DiffusionPrior, **changes: object) -> Any:
    """A scheduler of the prior's configuration with changes, without keys that only other classes know."""
    known = inspect.signature(kind.__init__).parameters
    scheduler = kind(**{key: value for key, value in {**prior.scheduler_config, **changes}.items() if key in known})
    if not getattr(scheduler.config, "rescale_betas_zero_snr", False):  # diffusers then edits the last entries itself
        scheduler.betas = _betas(scheduler)
        scheduler.alphas = 1.0 - scheduler.betas
        scheduler.alphas_cumprod = scheduler.alphas.cumprod(dim=0)
    return scheduler


def _betas(scheduler: Any) -> Float64[Tensor, "timesteps"]:
    """In float64: a product of 1000 float32 factors is off by 1e-5, and the noisy end multiplies that by 157."""
    config = scheduler.config
    if config.trained_betas is not None:
        return torch.tensor(config.trained_betas, dtype=torch.float64)
    if config.beta_schedule == "linear":
        return torch.linspace(config.beta_start, config.beta_end, len(scheduler.betas), dtype=torch.float64)
    return torch.as_tensor(scheduler.betas, dtype=torch.float64)


def _variance_type(prior: DiffusionPrior) -> str:
    """A variance that fits the number of channels and that diffusers computes rightly."""
    stated = str(prior.scheduler_config.get("variance_type", "fixed_small"))
    if prior.variance_channels:
        return stated if stated == "learned" else "learned_range"
    if stated in {"learned", "learned_range"}:
        return "fixed_small"
    return stated.removesuffix("_log")  # the same variances; diffusers takes the root of fixed_large_log's logarithm


def _nearest_divisor(total: int, steps: int) -> int:
    return min((divisor for divisor in range(1, total + 1) if total % divisor == 0), key=lambda d: abs(d - steps))


def _config_of(network: nn.Module) -> Mapping[str, Any]:
    config: Mapping[str, Any] = getattr(network, "config", {})
    return config
