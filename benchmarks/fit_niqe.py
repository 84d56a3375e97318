"""Fit the parameters of NIQE to folders of clean photos.

    python benchmarks/fit_niqe.py FOLDER... [--out restorekit/core/metric/niqe_parameters.safetensors]

Only statistics are kept: the mean and covariance of 36 features. The file's metadata records the folders' names, how
many photos and patches there were, and the settings. Change ``--name`` (and the choice in ``protocol.CHOICES``) when
the numbers change, because the name is part of every NIQE address.
"""

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.torch import save

from restorekit.core.image.convention import Images, to_images
from restorekit.core.metric.natural_scene import PATCH_PX
from restorekit.core.metric.no_reference import PARAMETERS_FILE, SHARPNESS_THRESHOLD, fit_natural_model

SUFFIXES = {".webp", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}


def main() -> None:
    """Read the folders, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="clean photos; searched recursively")
    parser.add_argument("--out", type=Path, default=Path("restorekit/core/metric") / PARAMETERS_FILE)
    parser.add_argument("--name", default="restorekit-1", help="the name in the address of every score")
    arguments = parser.parse_args()

    model, photos, patches = fit_natural_model(read_photos(arguments.folders))
    record = {
        "name": arguments.name,
        "folders": sorted(folder.name for folder in arguments.folders),
        "photos": photos,
        "patches": patches,
        "patch_px": PATCH_PX,
        "sharpness_threshold": SHARPNESS_THRESHOLD,
        "channel": "y-full",
        "depth": "u8",
    }
    tensors = {"mean": model.mean.contiguous(), "covariance": model.covariance.contiguous()}
    arguments.out.write_bytes(save(tensors, metadata={"niqe": json.dumps(record)}))
    print(f"{arguments.out}: {photos} photos, {patches} patches")


def read_photos(folders: list[Path]) -> Iterator[Images]:
    """Every photo of the folders that has room for a patch, in the order of their names."""
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
            with Image.open(path) as image:
                samples = np.asarray(image.convert("RGB"))
            if math.prod(side // PATCH_PX for side in samples.shape[:2]) > 0:
                yield to_images(samples)


if __name__ == "__main__":
    main()
