"""An official checkpoint computes the same after conversion; other files are refused with the reason."""

import importlib.util
import pickle
from pathlib import Path

import pytest
import torch

from restorekit.core.networks import NetworkRestorer, configure, convert_checkpoint, read_description
from restorekit.core.networks.convert import convert_tensors, read_checkpoint
from restorekit.core.weights import load_metadata, save_weights
from restorekit.errors import ModelError

spec = importlib.util.spec_from_file_location("official", Path(__file__).with_name("official.py"))
official = importlib.util.module_from_spec(spec)
spec.loader.exec_module(official)

NAFNET = {"encoder": (1, 2), "middle": 1, "decoder": (2, 1)}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def save(path, state, wrapping="params"):
    torch.save({wrapping: state} if wrapping else state, path)
    return path


@pytest.mark.parametrize("planes", [1, 3])
def test_converted_nafnet_reproduces_the_official_forward_pass(tmp_path, planes) -> None:
    state = official.nafnet_state(width=4, planes=planes, **NAFNET)
    converted = convert_tensors(read_checkpoint(save(tmp_path / "a.pth", state)), "a.pth")
    assert converted.config == configure(
        "nafnet",
        {"width": 4, "encoder_blocks": [1, 2], "middle_blocks": 1, "decoder_blocks": [1, 2], "channels": planes},
    )
    network = converted.config.build()
    network.load_state_dict(converted.tensors)
    image = torch.rand(2, planes, 12, 20)
    expected = official.nafnet_forward(state, image, **NAFNET)
    assert (expected - image).abs().max() > 0.1
    torch.testing.assert_close(network(image), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "planes"),
    [({}, 3), ({"norm_bias": False, "planes": 1}, 1), ({"dual": True, "norm_bias": True}, 6)],
    ids=["colour", "gray bias-free", "dual pixel"],
)
def test_converted_restormer_reproduces_the_official_forward_pass(options, planes) -> None:
    counts, heads = (1, 2, 1, 2), (1, 2, 3, 4)
    state = official.restormer_state(counts=counts, heads=heads, **options)
    converted = convert_tensors(state, "b.pth")
    assert converted.config.model_dump() == {
        "width": 6,
        "blocks": counts,
        "refinement_blocks": 1,
        "heads": heads,
        "expansion": pytest.approx(2.66, abs=0.03),  # any factor that gives the same hidden widths
        "norm": "with_bias" if options.get("norm_bias", True) else "bias_free",
        "bias": False,
        "in_channels": planes,
        "out_channels": options.get("planes", 3),
        "dual_pixel": planes == 6,
    }
    network = converted.config.build()
    network.load_state_dict(converted.tensors)
    image = torch.rand(2, planes, 16, 24)
    expected = official.restormer_forward(state, image, counts, heads)
    torch.testing.assert_close(network(image), expected, atol=1e-5, rtol=1e-5)


def test_published_restormer_widths_give_the_published_expansion() -> None:
    with torch.device("meta"):
        state = official.restormer_state(48, (4, 6, 6, 8), (1, 2, 4, 8), refinement=4)
    assert convert_tensors(state, "c.pth").config == configure("restormer")


def test_converted_file_says_what_it_is_and_restores(tmp_path) -> None:
    state = official.nafnet_state(**NAFNET)
    source = save(tmp_path / "official.pth", {f"module.{name}": tensor for name, tensor in state.items()}, "state_dict")
    record = convert_checkpoint(source, tmp_path / "ours.safetensors", licence="MIT")
    assert record.licence == load_metadata(record.path)["licence"] == "MIT"
    name, config = read_description(record.path)
    assert name == "nafnet"
    image = torch.rand(1, 3, 8, 8)
    restored = NetworkRestorer("x", config, record.path).restore(image)
    torch.testing.assert_close(restored, official.nafnet_forward(state, image, **NAFNET), atol=1e-5, rtol=1e-5)


def test_other_layout_is_refused_naming_what_was_expected(tmp_path) -> None:
    path = save(tmp_path / "dncnn.pth", {f"model.{index}.weight": torch.zeros(1) for index in range(9)}, None)
    message = (
        r"dncnn\.pth: expected the official layout of nafnet \(ending\.weight, intro\.weight, \.\.\.\) or restormer .*"
        r"got model\.0\.weight, model\.1\.weight, model\.2\.weight, \.\.\. \(9 names\); other .*spandrel:"
    )
    with pytest.raises(ModelError, match=message):
        convert_checkpoint(path, tmp_path / "x.safetensors", licence="")


def test_incomplete_checkpoints_are_refused() -> None:
    state = official.nafnet_state(**NAFNET)
    del state["encoders.1.0.conv3.weight"]
    with pytest.raises(ModelError, match=r"1 are missing, the first is encoder\.1\.0\.mixing_project\.weight"):
        convert_tensors(state, "a.pth")
    state = official.restormer_state()
    del state["output.weight"]
    with pytest.raises(ModelError, match=r"expected a whole restormer checkpoint .* got a part: 'output.weight'"):
        convert_tensors(state, "b.pth")


def test_checkpoint_with_other_block_widths_is_refused_with_both_shapes() -> None:
    state = official.nafnet_state(**NAFNET)
    state["middle_blks.0.conv1.weight"] = torch.zeros(16, 16, 1, 1)
    message = r"expected middle\.0\.mixing_expand\.weight of shape \(32, 16, 1, 1\), got \(16, 16, 1, 1\) \(1 of"
    with pytest.raises(ModelError, match=message):
        convert_tensors(state, "a.pth")


class Harmful:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_pickle_that_would_run_code_is_refused(tmp_path, capsys) -> None:
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(ModelError, match=r"evil\.pth: expected a checkpoint of plain tensors, got one that cannot"):
        read_checkpoint(tmp_path / "evil.pth")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3, "params": {"a": "text"}}, r"expected tensors by name, at the top or under 'params' .* got a$"),
        ([1, 2], "got list"),
    ],
)
def test_file_without_tensors_is_refused(tmp_path, content, message) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(ModelError, match=message):
        read_checkpoint(tmp_path / "odd.pth")


def test_absent_file_is_refused(tmp_path) -> None:
    with pytest.raises(ModelError, match=r"none\.pth: expected a checkpoint here, got nothing"):
        read_checkpoint(tmp_path / "none.pth")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, r"which network they are for \(nafnet, restormer, .*zero_dce, sci\), got no such note"),
        ({"network": "nafnet", "config": '{"width": 0}'}, "expected options of nafnet in its note"),
    ],
)
def test_file_that_does_not_say_its_network_is_refused(tmp_path, metadata, message) -> None:
    path = save_weights(tmp_path / "bare.safetensors", {"a": torch.zeros(1)}, metadata).path
    with pytest.raises(ModelError, match=message):
        read_description(path)
