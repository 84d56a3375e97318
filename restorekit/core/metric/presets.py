"""The protocols papers and libraries of this field measure under, by name.

A preset fixes the metrics it names; any other metric keeps its default. Options written in an address win over the
preset: ``psnr[crop4]`` under ``basicsr-y`` is the 4x super-resolution setting.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from restorekit.core.metric.protocol import MetricProtocol, parse_address
from restorekit.errors import SpecError, did_you_mean

__all__ = ["PRESETS", "Preset", "preset_protocols"]


@dataclass(frozen=True)
class Preset:
    """One way to measure, as practised somewhere."""

    summary: str
    """What is unusual about it, in one line."""
    source: str
    """Who measures like this, and where it can be read."""
    addresses: tuple[str, ...]
    """What it fixes; options that are not written are the defaults."""


PRESETS: Mapping[str, Preset] = {
    "kair": Preset(
        "RGB, saved 8-bit image, no border cut: the denoising tables",
        "KAIR main_test_swinir.py: DRUNet, SwinIR",
        ("psnr[rgb|u8|crop0]", "ssim[rgb|u8|crop0|gauss11]"),
    ),
    "restormer": Preset(
        "RGB, saved 8-bit image, no border cut",
        "Restormer Denoising/test_gaussian_color_denoising.py and its evaluation",
        ("psnr[rgb|u8|crop0]", "ssim[rgb|u8|crop0|gauss11]"),
    ),
    "basicsr-y": Preset(
        "BT.601 luma in 16..235 of 8-bit images; add cropN where the paper cuts a border",
        "BasicSR metrics/psnr_ssim.py with test_y_channel; deraining and super-resolution tables",
        ("psnr[y-studio|u8]", "ssim[y-studio|u8|gauss11]"),
    ),
    "promptir": Preset(
        "RGB floats clipped to [0, 1], SSIM with scikit-image's 7 px box",
        "PromptIR and AirNet utils/val_utils.py; all-in-one tables",
        ("psnr[rgb|float]", "ssim[rgb|float|uniform7]"),
    ),
    "tao": Preset(
        "PSNR on RGB beside SSIM on full-range luma",
        "TAO test_samples, through pyiqa's defaults; zero-shot tables",
        ("psnr[rgb|u8]", "ssim[y-full|u8|gauss11]"),
    ),
    "lol": Preset(
        "RGB, saved 8-bit image; brightness is part of the task",
        "Retinexformer and SNR-Net on LOL, without GT-mean",
        ("psnr[rgb|u8]", "ssim[rgb|u8|gauss11]"),
    ),
    "lol-gtmean": Preset(
        "GT-MEAN: the restored image is given the reference's brightness first; adds 2 to 8 dB",
        "Retinexformer's README, which advises against it",
        ("psnr[rgb|u8|GT-MEAN]", "ssim[rgb|u8|gauss11|GT-MEAN]"),
    ),
    "skimage": Preset(
        "floats, SSIM with a 7 px box and sample covariance",
        "skimage.metrics.peak_signal_noise_ratio and structural_similarity with channel_axis, data_range=1",
        ("psnr[rgb|float]", "ssim[rgb|float|uniform7]"),
    ),
    "torchmetrics": Preset(
        "floats, one PSNR over all pixels of the set, SSIM padded by reflection",
        "torchmetrics.functional.image with data_range=1",
        ("psnr[rgb|float|pooled]", "ssim[rgb|float|gauss11-same]"),
    ),
    "kornia": Preset(
        "floats, one PSNR over all pixels of the batch, SSIM padded by reflection",
        "kornia.metrics.psnr and ssim with window_size=11, max_val=1",
        ("psnr[rgb|float|pooled]", "ssim[rgb|float|gauss11-same]"),
    ),
}


def preset_protocols(name: str) -> dict[str, MetricProtocol]:
    """Metric name -> protocol, for the metrics that the preset ``name`` fixes.

    Raises:
        SpecError: no preset of that name.
    """
    if name not in PRESETS:
        raise SpecError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}" + did_you_mean(name, PRESETS))
    return dict(parse_address(address) for address in PRESETS[name].addresses)
