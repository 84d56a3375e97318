"""Networks by name: described, configured from plain options, refused with every problem at once."""

import pickle

import pytest
import torch

from restorekit.core.networks import NETWORKS, PUBLISHED, build_network, configure, describe_networks
from restorekit.errors import ModelError

TINY = {
    "nafnet": {"width": 4, "encoder_blocks": [1], "middle_blocks": 1, "decoder_blocks": [1]},
    "restormer": {"width": 4, "blocks": [1, 1], "heads": [1, 2], "refinement_blocks": 1},
    "dense_unet": {"widths": [4, 6], "blocks": [1, 1]},
    "routed_unets": {"experts": [{"widths": [4], "blocks": [1]}, {"widths": [6], "blocks": [0], "tones": True}]},
    "maxim": {"width": 4, "windows": [4, 2, 2], "groups": 1, "middle_blocks": 1},
    "snr_aware": {"width": 4, "blocks": [0, 1, 0], "layers": 1, "heads": 2, "head_width": 4, "feedforward_width": 8},
    "zero_dce": {"width": 4, "iterations": 2},
    "sci": {"stages": 2, "calibrator_width": 4},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_network_builds_runs_and_depends_on_its_config_only(name) -> None:
    config = configure(name, TINY[name])
    assert configure(name, TINY[name]) == config
    assert hash(pickle.loads(pickle.dumps(config))) == hash(config)
    images = torch.rand(2, config.planes[0], config.multiple_of, 3 * config.multiple_of)
    assert config.build()(images).shape == images.shape


@pytest.mark.parametrize("name", NETWORKS)
def test_images_of_a_batch_do_not_influence_each_other(name) -> None:
    network = build_network(name, TINY[name]).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(network(images)[:1], network(images[:1]), atol=1e-4, rtol=1e-4)


def test_describe_networks_explains_every_option() -> None:
    rows = {row.name: row for row in describe_networks()}
    assert list(rows) == list(NETWORKS)
    assert all(row.summary and all(option.description for option in row.options) for row in rows.values())
    assert {option.name: option.default for option in rows["nafnet"].options}["width"] == 32


def test_published_configurations_are_valid() -> None:
    assert {configure(*pair).planes for pair in PUBLISHED.values()} == {(3, 3), (1, 1), (6, 3)}


def test_unknown_network_is_refused_with_the_names() -> None:
    with pytest.raises(
        ModelError,
        match="expected one of nafnet, restormer, dense_unet, routed_unets, maxim, snr_aware, zero_dce, sci, "
        "got 'nafnett'; did you mean nafnet",
    ):
        build_network("nafnett")


def test_bad_options_are_named_all_at_once() -> None:
    with pytest.raises(ModelError) as caught:
        build_network("nafnet", {"widht": 32, "middle_blocks": "many", "encoder_blocks": [1, -1]})
    problems = str(caught.value).splitlines()
    assert len(problems) == 3
    assert "network nafnet: option widht: unknown key; expected one of width, encoder_blocks" in str(caught.value)
    assert "did you mean width?" in str(caught.value)
    assert "option middle_blocks: expected a whole number at least 0" in str(caught.value)
    assert "got 'many'" in str(caught.value)
    assert "option encoder_blocks.1: expected greater than or equal to 0, got -1" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nafnet", {"encoder_blocks": [1, 1]}, "as many levels in both, got 2 and 4"),
        ("dense_unet", {"widths": [8]}, "widths and blocks: expected as many levels in both, got 1 and 3"),
        ("restormer", {"blocks": [1, 1]}, "blocks and heads: expected as many levels in both, got 2 and 4"),
        ("restormer", {"heads": [1, 5, 4, 8]}, r"heads: expected divisors of the widths \[48, 96, 192, 384\]"),
        ("restormer", {"in_channels": 6}, "the same number unless dual_pixel, got 6 and 3"),
        ("restormer", {"expansion": 0.01}, "expansion: expected at least one hidden channel"),
    ],
)
def test_options_that_contradict_each_other_are_refused(name, options, message) -> None:
    with pytest.raises(ModelError, match=message):
        build_network(name, options)
