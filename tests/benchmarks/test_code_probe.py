"""The probes find what a code says linearly, and say so when it says nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from code_probe import KINDS, fit_classes, fit_ridge, main, to_markdown
from PIL import Image

from restorekit.constyle.network import ConStyleNetworkConfig
from restorekit.core.weights import save_weights


def test_classes_that_lie_apart_are_all_named_and_noise_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat(50)
    noise = torch.randn(200, 128, generator=generator)
    told = noise.clone()
    told[range(200), labels] += 12
    assert (fit_classes(told, labels, 4)(told).argmax(1) == labels).all()
    fresh = torch.randn(200, 128, generator=generator)
    assert (fit_classes(noise, labels, 4)(fresh).argmax(1) == labels).float().mean() < 0.4


def test_ridge_is_least_squares_where_nothing_is_penalised() -> None:
    generator = torch.Generator().manual_seed(0)
    codes = 3 + torch.randn(300, 128, generator=generator)
    targets = codes @ torch.randn(128, generator=generator) + torch.randn(300, generator=generator)
    design = np.concatenate([codes.double().numpy(), np.ones((300, 1))], axis=1)
    solution, *_ = np.linalg.lstsq(design, targets.double().numpy(), rcond=None)
    probe = fit_ridge(codes, targets, penalty=0.0)
    np.testing.assert_allclose(probe(codes)[:, 0].numpy(), design @ solution, atol=1e-4)
    shrunk = fit_ridge(codes, targets, penalty=1e9)
    torch.testing.assert_close(shrunk(codes)[:, 0], targets.double().mean().expand(300), atol=1e-3, rtol=0)


def test_table_counts_rows_by_the_true_kind() -> None:
    confusion = torch.diag(torch.tensor([4, 3, 2, 4, 4, 4]))
    confusion[1, 2] = 1
    text = to_markdown(confusion, [1.0, -9.0])
    assert "| noise | 0 | 3 | 1 | 0 | 0 | 0 |" in text
    assert "Named right: 95.5% of 22 (chance 17%)" in text
    assert "error 5.0 grey levels, within 5 for 50% of 2 photos" in text


def test_one_command_probes_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = ConStyleNetworkConfig.model_validate(
        {"unet": {"block": "dense", "width": 4, "encoder_blocks": [1], "middle_blocks": 1, "decoder_blocks": [1]}}
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = {name: tensor.half() for name, tensor in config.build().state_dict().items()}
    document = json.dumps({"network": config.model_dump(mode="json")})
    path = save_weights(tmp_path / "w.safetensors", weights, {"method": "constyle", "method_config": document}).path
    for folder in ("train", "test"):
        (tmp_path / folder).mkdir()
        for index in range(3):
            pixels = np.random.default_rng(index).integers(0, 256, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{index}.png")
    record = tmp_path / "probe.json"
    folders = ["--train", str(tmp_path / "train"), "--test", str(tmp_path / "test")]
    main(["--model", f"file:{path}", *folders, "--json", str(record)])
    assert f"of {3 * len(KINDS)} (chance" in capsys.readouterr().out
    written = json.loads(record.read_text())
    assert np.array(written["confusion"]).sum() == 3 * len(KINDS)
    assert len(written["sigma_errors"]) == 3
