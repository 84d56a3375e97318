"""Every preset is the protocol that the named papers or libraries use."""

import pytest

from restorekit.core.metric.presets import PRESETS, preset_protocols
from restorekit.core.metric.protocol import check_protocol, format_address
from restorekit.errors import SpecError

EXPECTED = {
    "kair": ("psnr[rgb|per-image|u8|crop0]", "ssim[rgb|per-image|u8|crop0|gauss11]"),
    "restormer": ("psnr[rgb|per-image|u8|crop0]", "ssim[rgb|per-image|u8|crop0|gauss11]"),
    "basicsr-y": ("psnr[y-studio|per-image|u8|crop0]", "ssim[y-studio|per-image|u8|crop0|gauss11]"),
    "promptir": ("psnr[rgb|per-image|float|crop0]", "ssim[rgb|per-image|float|crop0|uniform7]"),
    "tao": ("psnr[rgb|per-image|u8|crop0]", "ssim[y-full|per-image|u8|crop0|gauss11]"),
    "lol": ("psnr[rgb|per-image|u8|crop0]", "ssim[rgb|per-image|u8|crop0|gauss11]"),
    "lol-gtmean": ("psnr[rgb|per-image|u8|crop0|GT-MEAN]", "ssim[rgb|per-image|u8|crop0|gauss11|GT-MEAN]"),
    "skimage": ("psnr[rgb|per-image|float|crop0]", "ssim[rgb|per-image|float|crop0|uniform7]"),
    "torchmetrics": ("psnr[rgb|pooled|float|crop0]", "ssim[rgb|per-image|float|crop0|gauss11-same]"),
    "kornia": ("psnr[rgb|pooled|float|crop0]", "ssim[rgb|per-image|float|crop0|gauss11-same]"),
}


@pytest.mark.parametrize("name", sorted(EXPECTED.keys() | PRESETS.keys()))
def test_preset_spells_out_its_protocol(name: str) -> None:
    assert tuple(format_address(*item) for item in preset_protocols(name).items()) == EXPECTED[name]


@pytest.mark.parametrize("name", PRESETS)
def test_preset_is_measurable_and_names_its_source(name: str) -> None:
    for metric, protocol in preset_protocols(name).items():
        assert check_protocol(metric, protocol) == protocol
    assert PRESETS[name].summary
    assert PRESETS[name].source


def test_unknown_preset_lists_the_valid_ones() -> None:
    with pytest.raises(SpecError, match=r"preset: expected one of kair, .*, got 'lol-gtmeen'; did you mean lol-gtmean"):
        preset_protocols("lol-gtmeen")
