"""Results pair with the clean pictures of a set by the names of its inputs."""

import numpy as np
import pytest
import scipy.io

from restorekit.datasets.copies import find_copy
from restorekit.datasets.results import results_with_clean
from restorekit.errors import UsageError


@pytest.fixture
def outdoor(write):
    """Three hazy pictures of two scenes, and the clean ones by scene."""
    for name in ("0001_0.8_0.2", "0001_0.9_0.2", "0002_0.8_0.1"):
        write(f"data/SOTS/outdoor/hazy/{name}.jpg")
    clean = {scene: write(f"data/SOTS/outdoor/gt/{scene}.png")[..., ::-1] for scene in ("0001", "0002")}
    return find_copy(write.root / "data", "sots-outdoor"), clean


@pytest.mark.parametrize("folder", ["", "hazy/", "outdoor/hazy/"])
def test_results_pair_with_the_clean_picture_of_their_input(outdoor, write, folder):
    located, clean = outdoor
    for name in ("0001_0.9_0.2", "0002_0.8_0.1", "0001_0.8_0.2"):
        write(f"results/{folder}{name}.png")
    found = list(results_with_clean(located, write.root / "results"))
    assert [(name, path.stem) for name, path, _ in found] == [
        (f"outdoor/hazy/{stem}.jpg", stem) for stem in ("0001_0.8_0.2", "0001_0.9_0.2", "0002_0.8_0.1")
    ]
    for (_, _, picture), scene in zip(found, ("0001", "0001", "0002"), strict=True):
        np.testing.assert_array_equal(picture, clean[scene])


def test_results_without_partner_are_all_named(outdoor, write):
    for name in ("0001_0.8_0.2", "0003_0.8_0.2"):
        write(f"results/{name}.png")
    with pytest.raises(UsageError) as caught:
        results_with_clean(outdoor[0], write.root / "results")
    assert str(caught.value).split("\n  ")[1:] == [
        "0001_0.9_0.2: no result",
        "0002_0.8_0.1: no result",
        "0003_0.8_0.2: no input of that name",
    ]


def test_results_on_blocks_are_named_by_index(write):
    (write.root / "SIDD").mkdir(parents=True)
    blocks = np.random.default_rng(0).integers(0, 256, (1, 2, 4, 5, 3), dtype=np.uint8)
    for side in ("Noisy", "Gt"):
        scipy.io.savemat(write.root / f"SIDD/Validation{side}BlocksSrgb.mat", {f"Validation{side}BlocksSrgb": blocks})
    for name in ("0001_01", "0001_02"):
        write(f"results/{name}.png")
    found = list(results_with_clean(find_copy(write.root, "sidd:val"), write.root / "results"))
    assert [path.stem for _, path, _ in found] == ["0001_01", "0001_02"]
    np.testing.assert_array_equal(found[1][2], blocks[0, 1])
