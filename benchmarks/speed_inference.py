"""Suite ``inference``: our restorers against their bare networks and against spandrel's NAFNet and SwinIR.

- The bare network is the same module on the same tensor in the same memory layout; what is left is the wrapper.
- spandrel's networks run as spandrel builds them, on the same images, without its descriptor.
"""

from collections.abc import Iterator

from limits import in_words, threads, work_of
from peers import OURS, SPANDREL, bare_call, our_restorer, photo_image, spandrel_network
from results import Row, absent, measured
from setting import PRECISIONS, Setting
from timing import time_paired

__all__ = ["run"]

SIDES = {"NAFNet": 512, "SwinIR": 128}  # SwinIR takes minutes for 512 px on two cores
WRAPPER_TARGET = 0.8
"""A restorer reaches at least this share of its bare network's speed."""


def run(setting: Setting) -> Iterator[Row]:
    """Both networks bare, then each network of spandrel; every precision and number of threads."""
    for precision in PRECISIONS:
        for count in setting.threads:
            with threads(count):
                for name in OURS:
                    yield against_bare(setting, name, precision, count)
                for peer in SPANDREL:
                    yield against_spandrel(setting, peer, precision, count)


def against_bare(setting: Setting, name: str, precision: str, count: int) -> Row:
    """The restorer and the module inside it."""
    side = setting.size(512, 32)
    images = photo_image(side)
    restorer = our_restorer(name, precision)
    ours, bare = (lambda: restorer.restore(images)), bare_call(restorer.module, images, precision)
    seconds = time_paired({"ours": ours, "bare": bare}, setting.budget)
    work = work_of(restorer.module, (1, 3, side, side))
    return measured(
        _title(name, side, precision, count),
        "NetworkRestorer",
        seconds["ours"],
        peer="bare nn.Module",
        peer_seconds=seconds["bare"],
        megapixels=side**2 / 1e6,
        least_seconds=setting.limits(count, precision).least_seconds(work),
        target=WRAPPER_TARGET,
        note=f"{work.flops / 1e9:.3g} GFLOP",
    )


def against_spandrel(setting: Setting, peer: str, precision: str, count: int) -> Row:
    """Ours against a network of spandrel; for SwinIR, which we have not, the shipped model."""
    name = SPANDREL[peer][1]
    side = setting.size(SIDES[peer], 32)
    title, label = _title(name, side, precision, count), f"spandrel {peer}"
    network = spandrel_network(peer)
    if network is None:
        return absent(title, "NetworkRestorer", label, "MP/s", "spandrel absent")
    images = photo_image(side)
    restorer = our_restorer(name, precision)
    theirs = bare_call(network, images.contiguous(), precision)
    seconds = time_paired({"ours": lambda: restorer.restore(images), "theirs": theirs}, setting.budget)
    work = work_of(restorer.module, (1, 3, side, side))
    return measured(
        title,
        "NetworkRestorer",
        seconds["ours"],
        peer=label,
        peer_seconds=seconds["theirs"],
        megapixels=side**2 / 1e6,
        least_seconds=setting.limits(count, precision).least_seconds(work),
        note="the same network" if peer == "NAFNet" else "different networks: speed alone, no word on quality",
    )


def _title(name: str, side: int, precision: str, count: int) -> str:
    return f"{name}, {side}x{side}, {precision}, {in_words(count)}"
