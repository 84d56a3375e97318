"""Suite ``folder``: decode, restore, encode and write a folder of photos, against the bare network on decoded ones."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from limits import Work, in_words, threads, work_of
from peers import bare_call, our_restorer
from photos import Photo, make_photos, write_photos
from results import Row, measured
from setting import PRECISIONS, Setting
from timing import time_paired

from restorekit.batch import BatchOptions, restore_files
from restorekit.core.image.pairs import list_images
from restorekit.core.networks import NetworkRestorer

__all__ = ["run"]

NETWORK = "base"
FORMATS = (".jpg", ".png")
COUNT = 8


def run(setting: Setting) -> Iterator[Row]:
    """Both formats in every precision and number of threads."""
    photos = make_photos(setting.size(COUNT, 2), height=setting.size(512, 32), width=setting.size(768, 48))
    for suffix in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / f"in{suffix}"
            source.mkdir()
            write_photos(source, photos, suffix=suffix)
            for precision in PRECISIONS:
                for count in setting.threads:
                    with threads(count):
                        yield against_bare(setting, source, photos, precision, count)


def against_bare(setting: Setting, source: Path, photos: list[Photo], precision: str, count: int) -> Row:
    """The whole way of the photos in ``source``, and the network alone on what ``photos`` decode to."""
    height, width, _ = photos[0].shape
    restorer = our_restorer(NETWORK, precision)
    candidates = {
        "ours": folder_call(restorer, source, source.with_name("out")),
        "bare": bare_calls(restorer, photos, precision),
    }
    seconds = time_paired(candidates, setting.budget)
    one = work_of(restorer.module, (1, 3, height, width))
    work = Work(len(photos) * one.flops, len(photos) * one.bytes)
    return measured(
        f"{len(photos)} photos {width}x{height} {source.suffix[1:]}, {precision}, {in_words(count)}",
        "folder to folder",
        seconds["ours"],
        peer="bare nn.Module, decoded photos",
        peer_seconds=seconds["bare"],
        megapixels=len(photos) * height * width / 1e6,
        least_seconds=setting.limits(count, precision).least_seconds(work),
        note=NETWORK,
    )


def folder_call(restorer: NetworkRestorer, source: Path, target: Path) -> Callable[[], object]:
    """Restores every photo of ``source`` into ``target``, whatever is there already."""
    inputs = list_images([source])
    options = BatchOptions(model="benchmark", overwrite=True)

    def call() -> None:
        outcomes = restore_files(restorer, inputs, target, options)
        failed = [f"{out.status} {out.error or out.warnings}" for out in outcomes if out.status != "restored"]
        if failed:
            raise RuntimeError(f"folder: expected every photo restored, got {failed}")

    return call


def bare_calls(restorer: NetworkRestorer, photos: list[Photo], precision: str) -> Callable[[], object]:
    """The restorer's module on every photo, already a tensor in the layout it likes."""
    tensors = [torch.from_numpy(photo).permute(2, 0, 1)[None].float().div(255) for photo in photos]
    layout = torch.channels_last
    calls = [bare_call(restorer.module, tensor.contiguous(memory_format=layout), precision) for tensor in tensors]
    return lambda: [call() for call in calls]
