"""Suite ``metrics``: PSNR and SSIM of 24 photos of 768x512 px by restorekit, scikit-image, torchmetrics and kornia.

All get the same uint8 arrays and convert as they need to within their own time. restorekit follows each library's own
protocol: scikit-image's SSIM leaves the borders out, torchmetrics' and kornia's reflect them. The note says how far the
scores are apart at most.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import numpy as np
import torch
from limits import Work, in_words, threads
from photos import Photo, make_photos
from results import Row, absent, measured
from setting import Setting
from timing import time_paired

import restorekit

__all__ = ["run"]

Scores = list[tuple[float, float]]
"""(PSNR in dB, SSIM) of each pair."""
Pair = tuple[Photo, Photo]
"""(restored, clean)."""

COUNT = 24
MAPS = 5  # means of x, y, x^2, y^2 and xy
TAPS = 11


def run(setting: Setting) -> Iterator[Row]:
    """Ours against each library under its protocol, all in the same rounds."""
    count, height, width = setting.size(COUNT, 2), setting.size(512, 48), setting.size(768, 64)
    clean = make_photos(count, height=height, width=width)
    pairs = [(restorekit.degrade(photo, "noise:sigma=25", seed=n), photo) for n, photo in enumerate(clean)]
    present = {name: peer for name, peer in PEERS.items() if find_spec(peer.module) is not None}
    apart = {name: differences(peer, pairs) for name, peer in present.items()}
    candidates: dict[str, Callable[[], object]] = {}
    for name, peer in present.items():
        candidates |= {f"ours as {name}": partial(by_restorekit, peer.metrics, pairs), name: partial(peer.score, pairs)}
    megapixels = count * height * width / 1e6
    # two passes of an 11-tap window over 5 maps of 3 channels, a multiply-add each; 2 x 3 bytes of input
    work = Work(flops=2 * 2 * TAPS * MAPS * 3 * megapixels * 1e6, bytes=6 * megapixels * 1e6)
    for cores in setting.threads:
        title = f"PSNR + SSIM, {count} photos {width}x{height}, {in_words(cores)}"
        with threads(cores):
            seconds = time_paired(candidates, setting.budget)
        for name in PEERS:
            if name not in present:
                yield absent(title, "restorekit.score", name, "MP/s", f"{name} absent")
                continue
            psnr, ssim = apart[name]
            yield measured(
                title,
                "restorekit.score",
                seconds[f"ours as {name}"],
                peer=name,
                peer_seconds=seconds[name],
                megapixels=megapixels,
                least_seconds=setting.limits(cores, "float32").least_seconds(work),
                target=PEERS[name].promised,
                note=f"largest difference {psnr:.1e} dB, SSIM {ssim:.1e}; limit: the separable window in float32",
            )


def differences(peer: "Peer", pairs: list[Pair]) -> tuple[float, float]:
    """Largest absolute difference between ours and the peer's: of PSNR, in dB, and of SSIM."""
    psnr, ssim = np.abs(np.array(by_restorekit(peer.metrics, pairs)) - np.array(peer.score(pairs))).max(axis=0)
    return float(psnr), float(ssim)


def by_restorekit(metrics: tuple[str, str], pairs: list[Pair]) -> Scores:
    """As a user calls it."""
    found = []
    for restored, clean in pairs:
        (scores,) = restorekit.score(restored, clean, metrics).images.values()
        psnr, ssim = scores.values()
        found.append((psnr, ssim))
    return found


def by_scikit_image(pairs: list[Pair]) -> Scores:
    """Wang et al.'s settings as scikit-image's documentation gives them."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    settings = {
        "data_range": 255,
        "channel_axis": -1,
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
    }
    return [
        (
            float(peak_signal_noise_ratio(clean, restored, data_range=255)),
            float(structural_similarity(clean, restored, **settings)),
        )
        for restored, clean in pairs
    ]


def by_torchmetrics(pairs: list[Pair]) -> Scores:
    """The functional interface, a pair at a time."""
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    found = []
    for restored, clean in pairs:
        first, second = (torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 for p in (restored, clean))
        psnr = peak_signal_noise_ratio(first, second, data_range=1.0)
        ssim = structural_similarity_index_measure(first, second, data_range=1.0, sigma=1.5, kernel_size=TAPS)
        found.append((float(psnr), float(ssim)))  # type: ignore[arg-type]
    return found


def by_kornia(pairs: list[Pair]) -> Scores:
    """A pair at a time; ``padding`` "same" is its default, and reflects the borders."""
    from kornia.metrics import psnr, ssim

    found = []
    for restored, clean in pairs:
        first, second = (torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 for p in (restored, clean))
        similarity = ssim(first, second, window_size=TAPS, max_val=1.0, padding="same").mean()
        found.append((float(psnr(first, second, max_val=1.0)), float(similarity)))
    return found


@dataclass(frozen=True)
class Peer:
    """A library that scores too."""

    module: str
    metrics: tuple[str, str]
    """Our addresses of its protocol."""
    score: Callable[[list[Pair]], Scores]
    promised: float | None = None
    """How many times as fast ours shall be."""


PEERS = {
    "scikit-image": Peer(
        "skimage", ("psnr[rgb|per-image|u8|crop0]", "ssim[rgb|per-image|u8|crop0|gauss11]"), by_scikit_image, 2.0
    ),
    "torchmetrics": Peer(
        "torchmetrics",
        ("psnr[rgb|per-image|float|crop0]", "ssim[rgb|per-image|float|crop0|gauss11-same]"),
        by_torchmetrics,
    ),
    "kornia": Peer(
        "kornia", ("psnr[rgb|per-image|float|crop0]", "ssim[rgb|per-image|float|crop0|gauss11-same]"), by_kornia
    ),
}
