"""ZeroAIR as a diffusers pipeline: a ``UNet2DModel`` and its scheduler, called with a degraded image.

    from restorekit.zeroair import ZeroAIRPipeline

    pipe = ZeroAIRPipeline.from_pretrained(folder)
    restored = pipe(degraded, preset="fast", generator=torch.Generator().manual_seed(0)).images[0]

- The scheduler says how the model was trained; with which steps it samples is a matter of the settings.
- φ and the discriminators belong to one image: they are made anew in every call, and never saved with the pipeline.
- ``DiffusionPipeline.from_pretrained`` cannot find classes outside of diffusers: call it on this class.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import torch
from torch import Tensor

from restorekit.core.image.convention import Images, check_images, from_images, to_images
from restorekit.errors import ImageError, UsageError
from restorekit.priors.pixel_diffusion import DiffusersPrior, Prediction, SignedImages
from restorekit.zeroair.degradation_model import OneImage
from restorekit.zeroair.restorer import RunProgress, ZeroAIRRestorer
from restorekit.zeroair.settings import ZeroAIRSettings

if TYPE_CHECKING:  # to a type checker diffusers is a set of placeholders
    BaseOutput: Any
    DiffusionPipeline: Any
else:
    from diffusers import DiffusionPipeline
    from diffusers.utils import BaseOutput

__all__ = ["ZeroAIROutput", "ZeroAIRPipeline"]

AnyImages = PIL.Image.Image | npt.NDArray[Any] | Tensor | Sequence[PIL.Image.Image]
OnStepEnd = Callable[["ZeroAIRPipeline", int, int, dict[str, Any]], dict[str, Any]]

OUTPUT_TYPES = ("pil", "np", "pt")

TENSORS = ("latents", "estimate", "guidance")
"""What a callback can ask for."""


@dataclass
class ZeroAIROutput(BaseOutput):  # type: ignore[misc]
    """What a call returns."""

    images: "list[PIL.Image.Image] | npt.NDArray[Any] | Tensor"
    """As ``output_type`` says: PIL images, (batch, height, width, 3) in [0, 1], or (batch, 3, height, width)."""
    deviations: Tensor | None
    """(batch, 3, height, width), of one sample, in [0, 1]; None with one sample per image."""


class ZeroAIRPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Blind restoration with a pixel diffusion model.

    Args:
        unet: an unconditional ``UNet2DModel`` of RGB pixels, in any precision; it is frozen.
        scheduler: any scheduler of diffusers with the noise schedule it was trained with.
        preset: which settings a call starts from.
    """

    model_cpu_offload_seq = "unet"

    def __init__(self, unet: Any, scheduler: Any, preset: str = "blind") -> None:
        super().__init__()
        ZeroAIRSettings().changed(preset=preset)
        self.register_modules(unet=unet, scheduler=scheduler)
        self.register_to_config(preset=preset)
        self._made: tuple[Any, ZeroAIRRestorer] | None = None

    @torch.no_grad()
    def __call__(
        self,
        image: AnyImages,
        *,
        preset: str | None = None,
        num_inference_steps: int | None = None,
        num_samples: int = 1,
        settings: Mapping[str, Any] | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: OnStepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> Any:
        """Restore images of any size.

        Args:
            image: PIL, a list of PIL, (batch, height, width, 3) or (height, width, 3) in [0, 1] or uint8, or
                (batch, 3, height, width) in [0, 1].
            preset: in place of the pipeline's.
            num_inference_steps: in place of the preset's ``sampling.steps``.
            num_samples: runs per image; the result is their mean.
            settings: further fields of ``ZeroAIRSettings``, table by table.
            generator: one for all images, which then start from the same noise, or one for each; None: torch's own.
            output_type: pil, np or pt.
            return_dict: False: a tuple in place of ``ZeroAIROutput``.
            callback_on_step_end: called as (pipeline, step, timestep, tensors) after each step; ``latents`` in what it
                returns take the place of the noisy samples, which are (trajectories, 3, height, width).
            callback_on_step_end_tensor_inputs: of latents (noisy samples), estimate (clean ones) and guidance.

        Raises:
            ImageError: not images, or a run that diverges.
            UsageError: settings that do not fit, an output type or a number of generators that cannot be.
        """
        names = tuple(callback_on_step_end_tensor_inputs)
        for name, given, known in (("output_type", (output_type,), OUTPUT_TYPES), ("tensor inputs", names, TENSORS)):
            if not set(given) <= set(known):
                raise UsageError(f"{name}: expected of {', '.join(known)}, got {', '.join(given)}")
        restorer = self._restorer(preset, num_inference_steps, num_samples, settings)
        images = _as_list(image)
        seeds = _seeds(generator, len(images))
        with self.progress_bar(total=len(images) * num_samples * restorer.settings.sampling.steps) as bar:

            def on_progress(progress: RunProgress) -> None:
                bar.total = len(images) * num_samples * progress.report.moment.steps  # a warm start has fewer
                bar.update()
                if callback_on_step_end is not None:
                    self._call_back(callback_on_step_end, progress, names)

            restorer.on_progress = on_progress
            ensembles = [restorer.sample(one, seed=seed) for one, seed in zip(images, seeds, strict=True)]
        self.maybe_free_model_hooks()
        deviations = [ensemble.deviation for ensemble in ensembles if ensemble.deviation is not None]
        output = ZeroAIROutput(
            _as_output([ensemble.mean for ensemble in ensembles], output_type),
            _together(deviations, "deviations") if deviations else None,
        )
        return output if return_dict else (output.images, output.deviations)

    def _restorer(
        self, preset: str | None, steps: int | None, samples: int, settings: Mapping[str, Any] | None
    ) -> ZeroAIRRestorer:
        """With the settings of a call, on the pipeline's device; that of the call before, if nothing changed, so that
        its pool of clean images serves again.
        """
        chosen = ZeroAIRSettings().changed(preset=preset or self.config.preset, samples=samples)
        if settings:
            chosen = chosen.changed(**settings)
        if steps is not None:
            chosen = chosen.changed(sampling={"steps": steps})
        made_of = (chosen, self._execution_device, self.unet, self.scheduler)
        if self._made is None or self._made[0] != made_of or chosen.sampling.reset == "reference":
            prior = _PlacedPrior(self.unet, self.scheduler.config)
            self._made = made_of, ZeroAIRRestorer("zeroair", chosen, prior=prior).to(self._execution_device)
        return self._made[1]

    def _call_back(self, function: OnStepEnd, progress: RunProgress, names: Sequence[str]) -> None:
        report = progress.report
        tensors = {"latents": report.noisy, "estimate": report.estimate, "guidance": report.step}
        moment = report.moment
        returned = function(self, moment.step - 1, moment.timestep, {name: tensors[name] for name in names})
        changed = (returned or {}).get("latents", report.noisy)
        if changed is not report.noisy:
            report.noisy.copy_(changed)


class _PlacedPrior(DiffusersPrior):
    """The pipeline places its network itself, and chooses its precision."""

    def to(self, device: torch.device, precision: str = "float32") -> "_PlacedPrior":  # noqa: ARG002
        return self

    def predict(self, noisy: SignedImages, timestep: int) -> Prediction:
        """In the network's own precision; the answer in that of ``noisy``."""
        return super().predict(noisy.to(next(self.network.parameters()).dtype), timestep).to(noisy.dtype)


def _as_list(image: AnyImages) -> list[OneImage]:
    """Every image as a batch of one, in [0, 1]."""
    if isinstance(image, PIL.Image.Image):
        return [to_images(np.asarray(image.convert("RGB")))]
    if isinstance(image, Tensor):
        check_images(image, "image")
        return list(torch.split(image.float(), 1))
    if isinstance(image, np.ndarray):
        if image.ndim not in (3, 4) or image.shape[-1] != 3:
            raise ImageError(f"image: expected ([batch,] height, width, 3), got {image.shape}")
        arrays = image if image.ndim == 4 else image[None]
        return [to_images(array if array.dtype.kind == "u" else array.astype(np.float32)) for array in arrays]
    return [one for part in image for one in _as_list(part)]


def _seeds(generator: torch.Generator | Sequence[torch.Generator] | None, count: int) -> list[int]:
    """One for each image; images that share a generator share the seed, so that none depends on its place."""
    if isinstance(generator, torch.Generator):
        return [_draw(generator)] * count
    if generator is None:
        return [int(torch.randint(2**62, ()))] * count
    if len(generator) != count:
        raise UsageError(f"generator: expected one for all images, or {count}, got {len(generator)}")
    return [_draw(one) for one in generator]


def _draw(generator: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))


def _as_output(images: Sequence[OneImage], output_type: str) -> Any:
    if output_type == "pil":
        return [PIL.Image.fromarray(from_images(image, np.uint8)) for image in images]
    batch = _together(images, f"output_type {output_type}")
    return batch if output_type == "pt" else batch.permute(0, 2, 3, 1).cpu().numpy()


def _together(images: Sequence[OneImage], where: str) -> Images:
    sizes = {tuple(image.shape[-2:]) for image in images}
    if len(sizes) > 1:
        raise UsageError(f"{where}: expected images of one size, got {len(sizes)} sizes; call once for each")
    return torch.cat(list(images))
