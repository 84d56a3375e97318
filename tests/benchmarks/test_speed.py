"""Every speed suite runs, on tiny inputs; no figure is looked at, because the machine is not ours alone."""

import limits
import numpy as np
import photos
import pytest
import speed
import speed_metrics
import speed_tiling
import torch
from limits import Limits, Work
from peers import our_restorer
from results import Result
from torch import nn


@pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")  # of spandrel, where it is installed
@pytest.mark.parametrize("suite", list(speed.SUITES))
def test_suite_writes_a_result_that_fits_the_schema(suite, tmp_path, capsys):
    speed.main([suite, "--smoke", "--output", str(tmp_path / "result.json")])
    result = Result.model_validate_json((tmp_path / "result.json").read_text())
    assert result.suite == suite
    assert result.run.smoke
    assert result.run.limits or suite == "tiling"
    assert all(row.rounds >= 1 or row.note.startswith("not measured: ") for row in result.rows)
    assert len(capsys.readouterr().out.splitlines()) == len(result.rows) + len(result.run.limits)


def test_speed_refuses_an_unknown_suite(capsys):
    with pytest.raises(SystemExit):
        speed.main(["quality"])
    assert "invalid choice: 'quality'" in capsys.readouterr().err


def test_work_counts_a_convolution_as_its_formula_does():
    network = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    work = limits.work_of(network, (2, 3, 10, 12))
    assert work.flops == 2 * (3 * 9) * 8 * (2 * 10 * 12)
    assert work.bytes == 4 * (3 * 9 * 8 + 2 * 3 * 10 * 12 + 2 * 8 * 10 * 12)
    assert next(network.parameters()).device.type == "cpu"


def test_limit_is_the_longer_of_arithmetic_and_memory():
    machine = Limits(1, "float32", flops_per_second=100.0, bytes_per_second=10.0)
    assert machine.least_seconds(Work(flops=500.0, bytes=20.0)) == 5.0
    assert machine.least_seconds(Work(flops=500.0, bytes=80.0)) == 8.0


def test_threads_are_set_and_given_back():
    before = torch.get_num_threads()
    with limits.threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_photos_are_real_differ_and_repeat():
    made = photos.make_photos(24)
    assert {photo.shape for photo in made} == {(512, 768, 3)}
    assert len({photo.tobytes() for photo in made}) == 24
    assert all(photo.std() > 10 for photo in made)
    assert np.array_equal(made[5], photos.make_photo(5, height=512, width=768))


def test_overlap_factor_is_one_for_one_tile_and_counts_the_overlap_of_two():
    restorer = our_restorer("base", "float32")
    halo, multiple = restorer.spec.halo, restorer.spec.multiple_of
    assert speed_tiling.overlap_factor(restorer, 128, 128) == 1.0
    # two tiles a side: each reaches halo and 16 px of ramp beyond the middle, rounded up to the network's cells
    side = 1024
    reach = -(-(side // 2 + halo + 16) // multiple) * multiple
    assert speed_tiling.overlap_factor(restorer, side, 800) == pytest.approx((2 * reach / side) ** 2)


def test_differences_of_scores_are_small_to_every_library():
    pairs = [(photos.make_photo(1, height=40, width=50), photos.make_photo(2, height=40, width=50))]
    for peer in speed_metrics.PEERS.values():
        psnr, ssim = speed_metrics.differences(peer, pairs)
        assert psnr < 1e-4
        assert ssim < 1e-4
