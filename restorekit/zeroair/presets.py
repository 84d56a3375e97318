"""Named settings of ZeroAIR, and the paper's ablations as changes to any of them.

- ``reference-*``: the three settings of the authors' code, one per degradation, in its order and with its constants.
  They need the VGG-16 feature loss and 1000 evaluations, each of two images of 256 px.
- ``blind``: one setting for every degradation, with a small φ that is learned on crops, and a pool of other clean
  images beside it; no feature network. Guided to the end with steps of one weight, a φ that cannot make noise amplified
  the finest details ever more (‖J‖² near 1000, steps shortened to nothing) and drifted in its colours: beside the prior
  that ships, 10.5 dB for a noisy photo of 18.9. So φ starts on levels that are undone, its critic is told of the noise,
  content holds it back, and guidance ends where the photo's own noise is that of the sample.
- ``fast``: ours, one evaluation of the diffusion model per image: φ in closed form, and the mean of all photos that fit
  beside the measured noise.
- ``sample``: ours, the same φ; 25 evaluations draw one of the photos that fit.
- ``proximal``: the same φ; 75 evaluations from pure noise, under guidance whose steps trust the measured noise.
- ``gdp``: the baseline that the paper compares with, in our frame.
"""

import math
from collections.abc import Callable
from functools import partial

from restorekit.errors import UsageError, did_you_mean
from restorekit.zeroair.config import FitSettings, GanForm, Proximal, Stage, ZeroAIRConfig

__all__ = [
    "ABLATIONS",
    "PRESETS",
    "preset",
    "snr_border",
    "uniform_guidance",
    "with_borders",
    "with_gan",
    "without_stage",
]


def preset(name: str) -> ZeroAIRConfig:
    """The settings of a name in ``PRESETS``.

    Raises:
        UsageError: no preset of that name.
    """
    if name not in PRESETS:
        raise UsageError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}" + did_you_mean(name, PRESETS))
    return PRESETS[name]


def snr_border(timestep: int) -> float:
    """The signal-to-noise ratio between ``timestep`` and the one before it in the linear schedule of 1000.

    >>> round(snr_border(700), 5), round(snr_border(50), 1)
    (0.00697, 32.9)
    """
    alpha_bar = ratio = 1.0
    for index in range(timestep + 1):
        before = ratio
        alpha_bar *= 1.0 - (1e-4 + (0.02 - 1e-4) * index / 999)
        ratio = alpha_bar / (1.0 - alpha_bar)
    return math.sqrt(before * ratio)


def with_borders(config: ZeroAIRConfig, first: int, second: int) -> ZeroAIRConfig:
    """Three stages that end before these timesteps of the linear schedule; 700 and 50 in the paper."""
    borders = (snr_border(first), snr_border(second), None)
    stages = (
        stage.model_copy(update={"below_snr": border}) for stage, border in zip(config.stages, borders, strict=True)
    )
    return _changed(config, stages=tuple(stages))


def without_stage(config: ZeroAIRConfig, number: int) -> ZeroAIRConfig:
    """No guidance at all during stage ``number``, from 1; φ goes on learning.

    Differs from the paper: it does not say whether its stage 3 loses all guidance or the total variation alone. The
    latter changes almost nothing.
    """
    stages = list(config.stages)
    stages[number - 1] = Stage(below_snr=stages[number - 1].below_snr)
    return _changed(config, stages=tuple(stages))


def uniform_guidance(config: ZeroAIRConfig) -> ZeroAIRConfig:
    """One stage: the squared distance alone, with weight 1, from the first timestep to the last."""
    return _changed(config, stages=(Stage(reconstruction=1.0),))


def with_gan(config: ZeroAIRConfig, form: GanForm) -> ZeroAIRConfig:
    """Another form of the adversarial losses."""
    return _changed(config, fit=_changed_fit(config.fit, gan=form))


def _changed(config: ZeroAIRConfig, **changes: object) -> ZeroAIRConfig:
    return ZeroAIRConfig.model_validate({**dict(config), **changes})


def _changed_fit(fit: FitSettings, **changes: object) -> FitSettings:
    return FitSettings.model_validate({**dict(fit), **changes})


def _reference(
    *, scale: float, seed: int, warm_up: float, features: float, variation: float, adversarial: float, fit: FitSettings
) -> ZeroAIRConfig:
    """The authors' code; ``warm_up`` is their peak, a mean over two images, hence half of it for each."""
    first = Stage(below_snr=snr_border(700), reconstruction=warm_up / 2, warm_up=True, guide_auxiliary=True)
    second = Stage(below_snr=snr_border(50), reconstruction=1.0, features=features, adversarial=adversarial)
    third = Stage(reconstruction=1.0, features=features, adversarial=adversarial, total_variation=variation)
    return ZeroAIRConfig(
        steps=1000,
        alpha=scale / (2 * 3 * 256 * 256),
        compose_steps=False,
        stages=(first, second, third),
        fit=fit,
        reset="reference",
        seed=seed,
    )


_BLIND = ZeroAIRConfig(
    steps=100,
    estimate="sample",
    proximal=Proximal(sigma="measured", iterations=1),
    stages=(
        Stage(below_snr=snr_border(700), reconstruction=1.0, warm_up=True, guide_auxiliary=True),
        Stage(below_snr=snr_border(50), reconstruction=1.0),
        Stage(reconstruction=1.0, total_variation=1e-4),
    ),
    auxiliary="pool",
    # content : adversarial. 100 : 1 gave 26.0 dB for a crop beside noise of sigma 30, 1000 : 1 27.6, levels alone 27.3.
    fit=FitSettings(model="small", content=3.0, adversarial=0.003, learning_rate=5e-4, inner_steps=4, crop_px=64),
)

_PROXIMAL = ZeroAIRConfig(
    steps=75,
    proximal=Proximal(sigma="measured", iterations=1),
    stages=(Stage(reconstruction=1.0),),
    auxiliary="none",
    fit=FitSettings(model="levels"),
)

PRESETS: dict[str, ZeroAIRConfig] = {
    "reference-dehaze": _reference(
        scale=25000.0,
        seed=10,
        warm_up=2.0,
        features=1e-3,
        variation=1e-4,
        adversarial=0.0,
        fit=FitSettings(model="cnn", content=0.2, features=0.5, adversarial=0.3, discriminator_learning_rate=5e-4),
    ),
    "reference-low-light": _reference(
        scale=50000.0,
        seed=10,
        warm_up=0.0,
        features=2e-3,
        variation=4e-5,
        adversarial=5e-5,
        fit=FitSettings(model="cnn", content=0.02, features=0.3, adversarial=0.6, discriminator_learning_rate=5e-5),
    ),
    "reference-denoise": _reference(
        scale=6000.0,
        seed=20,
        warm_up=0.5,
        features=0.0,
        variation=6e-4,
        adversarial=0.0,
        fit=FitSettings(model="cnn", content=3.0, features=2e-3, adversarial=1e-3, discriminator_learning_rate=1e-3),
    ),
    "blind": _BLIND,
    "fast": _changed(_PROXIMAL, estimate="mean", steps=1),
    "sample": _changed(_PROXIMAL, estimate="sample", steps=25),
    "proximal": _PROXIMAL,
    "gdp": ZeroAIRConfig(
        steps=1000,
        alpha=80000 / (2 * 3 * 256 * 256),
        compose_steps=False,
        stages=(Stage(reconstruction=1.0),),
        auxiliary="none",
        fit=FitSettings(model="map", objective="paired"),
    ),
}
"""Name -> settings."""

ABLATIONS: dict[str, Callable[[ZeroAIRConfig], ZeroAIRConfig]] = {
    "uniform": uniform_guidance,
    "no-stage-1": partial(without_stage, number=1),
    "no-stage-2": partial(without_stage, number=2),
    "no-stage-3": partial(without_stage, number=3),
    "border-800-50": partial(with_borders, first=800, second=50),
    "border-600-50": partial(with_borders, first=600, second=50),
    "border-700-70": partial(with_borders, first=700, second=70),
    "border-700-30": partial(with_borders, first=700, second=30),
    "gan-bce-logits": partial(with_gan, form="bce_logits"),
    "gan-lsgan": partial(with_gan, form="lsgan"),
    "gan-wgan-softplus": partial(with_gan, form="wgan_softplus"),
    "gan-hinge": partial(with_gan, form="hinge"),
    "gan-wgan": partial(with_gan, form="wgan"),
}
"""Rows of the paper's ablation tables -> what changes."""
