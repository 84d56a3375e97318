"""Suite ``constyle``: training step and inference against the order of work of the authors' release.

- Contrastive step: encoder, three losses, backward, at batch 16 and 65,760 negatives. Peak memory is by how much a
  process of its own grows in one step.
- Whole step: the same beside the pixels' loss of ConStyle-NAFNet, at batch 2.
- Inference: merged up-convolutions and folded bottom against the released form of the same weights.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from limits import in_words, threads, work_of
from plain_constyle import BATCH, contrastive_step, make_contrast, make_pair, plain_fusions
from process_memory import process_peaks
from results import Row, measured
from setting import Setting
from timing import time_paired
from torch import Tensor, nn

from restorekit.constyle.config import PAPER_UNETS, UNetConfig
from restorekit.constyle.contrastive import Contrast, ContrastSettings
from restorekit.constyle.network import ConStyleNetworkConfig
from restorekit.core.networks.fold import fold

__all__ = ["run"]

SIDE_PX = 128
ENTRIES = 65_760
PEER = "the release's order of work"
TARGETS = {"nafnet": 1.05, "restormer": 1.03}


def run(setting: Setting) -> Iterator[Row]:
    """Contrastive step, whole step, inference."""
    side = setting.size(SIDE_PX, 32)
    entries = setting.size(ENTRIES, 64)
    note = memory_note() if not setting.smoke else ""
    for count in setting.threads:
        end = f"{side}x{side}, float32, {in_words(count)}"
        with threads(count):
            seconds = time_paired(contrastive_calls(side, entries), setting.budget)
        yield row(f"contrastive step, batch {BATCH}, {end}", seconds, target=1.0, note=note)
        with threads(count):
            seconds = time_paired(whole_calls(side, entries, small=setting.smoke), setting.budget)
        yield row(f"whole step, ConStyle-NAFNet, batch 2, {end}", seconds, target=1.0)
        for block, target in TARGETS.items():
            yield inference(setting, block, side, count, target)


def row(title: str, seconds: Any, *, target: float, note: str = "") -> Row:
    """Seconds of a step."""
    return measured(title, "ours", seconds["ours"], peer=PEER, peer_seconds=seconds["plain"], target=target, note=note)


def contrastive_calls(side: int, entries: int) -> dict[str, Callable[[], object]]:
    """The encoder's own losses alone."""
    pair = make_pair(BATCH, side)

    def call(which: str) -> Callable[[], object]:
        encoder, contrast = make_contrast(which, entries)
        return lambda: contrastive_step(encoder, contrast, *pair)

    return {which: call(which) for which in ("ours", "plain")}


def whole_calls(side: int, entries: int, *, small: bool) -> dict[str, Callable[[], object]]:
    """Those and the pixels' loss of the paper's NAFNet, AdamW included."""
    degraded, clean = make_pair(2, side)

    def call(which: str) -> Callable[[], object]:
        network: Any = make_network("nafnet", small=small)
        _, contrast = make_contrast(which, entries)
        if which == "ours":
            contrast = Contrast(network.encoder, ContrastSettings(parity="official", queue_size=entries))
        else:
            network = plain_fusions(network)
            contrast.encoder = network.encoder
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5)

        def step() -> None:
            style = network.encoder(degraded)
            losses = {"pixels": F.l1_loss(network.restore(degraded, style), clean)}
            losses |= contrast.losses(style, degraded=degraded, clean=clean)
            optimizer.zero_grad(set_to_none=True)
            torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            contrast.after_step()

        return step

    return {which: call(which) for which in ("ours", "plain")}


def inference(setting: Setting, block: Any, side: int, count: int, target: float) -> Row:
    """One image; the note says what merging saves."""
    network = make_network(block, small=setting.smoke).eval()
    ours, plain = fold(network), plain_fusions(network)
    image = torch.rand(1, 3, 2 * side, 2 * side, generator=torch.Generator().manual_seed(4))

    def call(module: nn.Module) -> Callable[[], Tensor]:
        def forward() -> Tensor:
            with torch.inference_mode():
                restored: Tensor = module(image)
            return restored

        return forward

    difference = float((call(ours)() - call(plain)()).abs().max())
    work, before = work_of(ours, tuple(image.shape)), work_of(plain, tuple(image.shape))
    with threads(count):
        seconds = time_paired({"ours": call(ours), "plain": call(plain)}, setting.budget)
    return measured(
        f"inference, ConStyle-{block}, {2 * side}x{2 * side}, float32, {in_words(count)}",
        "merged and folded",
        seconds["ours"],
        peer=PEER,
        peer_seconds=seconds["plain"],
        megapixels=4 * side**2 / 1e6,
        least_seconds=setting.limits(count, "float32").least_seconds(work),
        target=target,
        note=f"{work.flops / 2e9:.3g} GMAC, released {before.flops / 2e9:.3g}; largest difference {difference:.1e}",
    )


def make_network(block: Any, *, small: bool = False) -> Any:
    """The paper's network, or a small one of the same blocks, always with the same weights."""
    depth = (1, 1, 1)
    unet = UNetConfig(block=block, width=8, encoder_blocks=depth, middle_blocks=1, decoder_blocks=depth)
    torch.manual_seed(0)
    return ConStyleNetworkConfig(unet=unet if small else PAPER_UNETS[block], parity="official").build()


def memory_note() -> str:
    """By how much a process grows at most in one contrastive step, ours and plain; Linux only."""
    ours, plain = process_peaks("plain_constyle.py")
    return f"peak memory {ours / 1e6:.0f} MB, released {plain / 1e6:.0f} MB"
