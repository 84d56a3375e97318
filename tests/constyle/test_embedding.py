"""Codes as an embedding: what the encoder says of a whole photo, the plane where codes differ most, files, picture."""

import csv
import io
import json
from xml.etree import ElementTree

import numpy as np
import PIL.Image
import pytest
import torch

import restorekit
import restorekit.constyle
from restorekit.constyle import embed
from restorekit.constyle.embedding import COLOURS, Embedded, plot_codes, principal_plane, write_codes
from restorekit.constyle.network import ConStyleNetworkConfig
from restorekit.constyle.restorer import ConStyleRestorer
from restorekit.errors import ImageError, UsageError

UNET = {"block": "dense", "width": 4, "encoder_blocks": (1,), "middle_blocks": 1, "decoder_blocks": (1,)}
CONFIG = ConStyleNetworkConfig(unet={**UNET, "encoder_width": 4})


@pytest.fixture(scope="module")
def model() -> ConStyleRestorer:
    return ConStyleRestorer("tiny", CONFIG)


@pytest.fixture(scope="module")
def encoder(model: ConStyleRestorer):
    """The encoder by itself: a fresh restorer's weights are those of seed 0."""
    torch.manual_seed(0)
    return CONFIG.build().eval().encoder


def images_of(*size: int):
    return torch.rand(*size, generator=torch.Generator().manual_seed(1))


def test_embed_is_the_encoders_code_of_each_image(model, encoder) -> None:
    images = images_of(3, 3, 48, 32)
    expected = torch.cat([encoder(image[None]).code for image in images]).detach()
    torch.testing.assert_close(embed(images, model), expected, rtol=1e-4, atol=1e-5)
    assert (expected - expected.mean(dim=0)).abs().max() > 1e-3


def test_embed_takes_any_size_as_restoring_does(model, encoder) -> None:
    image = images_of(1, 3, 37, 50)
    padded = np.pad(image[0].numpy(), ((0, 0), (0, 11), (0, 14)), mode="reflect")
    expected = encoder(torch.from_numpy(padded)[None]).code.detach()
    torch.testing.assert_close(embed(image, model), expected, rtol=1e-4, atol=1e-5)


def test_codes_can_be_learned_from(model) -> None:
    """They are plain tensors: what follows them can be trained, though nothing reaches the model."""
    weights = torch.ones(128, requires_grad=True)
    (embed(images_of(2, 3, 16, 16), model) @ weights).sum().backward()
    assert weights.grad is not None


def test_embed_of_no_image_is_empty(model) -> None:
    assert embed(torch.empty(0, 3, 16, 16), model).shape == (0, 128)


@pytest.mark.parametrize("use_maps", [True, False])
def test_embed_refuses_models_without_a_code(use_maps) -> None:
    deaf = ConStyleRestorer("deaf", ConStyleNetworkConfig(unet={**UNET, "use_code": False, "use_maps": use_maps}))
    with pytest.raises(UsageError, match="expected a model that asks for codes, got deaf with use_code = false"):
        embed(images_of(1, 3, 16, 16), deaf)


def test_embed_refuses_other_models_and_broken_images(model) -> None:
    with pytest.raises(UsageError, match="expected a constyle model, got classical:median"):
        embed(images_of(1, 3, 16, 16), restorekit.load("classical:median"))
    with pytest.raises(ImageError, match="embed: expected finite values, got NaN"):
        embed(torch.full((1, 3, 16, 16), torch.nan), model)


def test_package_offers_embed_and_nothing_unknown() -> None:
    assert restorekit.constyle.embed is embed
    with pytest.raises(AttributeError, match="has no attribute 'embde'"):
        restorekit.constyle.embde  # noqa: B018


def test_principal_plane_has_the_covariances_eigenvalues() -> None:
    codes = images_of(30, 128) * torch.linspace(0.1, 3, 128)
    points, shares = principal_plane(codes)
    eigenvalues = np.linalg.eigvalsh(np.cov(codes.double().numpy(), rowvar=False))[::-1]
    assert shares == pytest.approx(tuple(eigenvalues[:2] / eigenvalues.sum()), rel=1e-6)
    np.testing.assert_allclose(np.cov(points.numpy(), rowvar=False), np.diag(eigenvalues[:2]), rtol=1e-4, atol=1e-4)


def test_principal_plane_keeps_distances_of_codes_that_lie_in_a_plane() -> None:
    axes = torch.linalg.qr(images_of(128, 2)).Q
    flat = torch.tensor([[-5.0, 0.0], [1.0, 2.0], [2.0, -1.0], [2.0, -1.0]])
    points, shares = principal_plane(flat @ axes.T + 7)
    torch.testing.assert_close(torch.cdist(points, points), torch.cdist(flat, flat), atol=1e-4, rtol=1e-4)
    assert sum(shares) == pytest.approx(1)
    assert all(points[:, axis][points[:, axis].abs().argmax()] > 0 for axis in (0, 1))


def photos_of(codes):
    degradations = ["", "haze", "noise:sigma=25,clip=0"]
    return [Embedded(f"ä/{i // 3}.png", degradations[i % 3], code) for i, code in enumerate(codes)]


def test_files_hold_every_code_bit_for_bit(tmp_path) -> None:
    photos = photos_of(images_of(6, 128))
    for suffix in (".csv", ".json", ".npy"):
        write_codes(tmp_path / "new" / f"codes{suffix}", photos)
    expected = torch.stack([photo.code for photo in photos]).numpy()
    np.testing.assert_array_equal(np.load(tmp_path / "new/codes.npy"), expected)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "new/codes.csv").read_text(encoding="utf-8"))))
    document = json.loads((tmp_path / "new/codes.json").read_text(encoding="utf-8"))
    for index, (photo, row, entry) in enumerate(zip(photos, rows, document, strict=True)):
        assert (row["name"], row["degradation"]) == (entry["name"], entry["degradation"])
        assert (row["name"], row["degradation"]) == (photo.name, photo.degradation)
        table = np.array([row[f"code_{column}"] for column in range(128)]).astype(np.float32)
        np.testing.assert_array_equal(table, expected[index])
        np.testing.assert_array_equal(np.array(entry["code"], np.float32), expected[index])


def test_picture_shows_each_degradation_in_its_colour(tmp_path) -> None:
    plot_codes(tmp_path / "codes.png", photos_of(images_of(6, 128)))
    with PIL.Image.open(tmp_path / "codes.png") as picture:
        found = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0).astype(float)
    for colour in COLOURS[:3]:  # drawn at opacity 0.8 on white
        exact = [0.8 * int(colour[i : i + 2], 16) + 0.2 * 255 for i in (1, 3, 5)]
        assert np.abs(found - exact).max(axis=1).min() <= 2


def test_codes_that_are_all_one_can_be_drawn(tmp_path) -> None:
    plot_codes(tmp_path / "codes.svg", photos_of(torch.ones(3, 128)))
    assert ElementTree.parse(tmp_path / "codes.svg").getroot().tag.endswith("svg")
    assert principal_plane(torch.ones(3, 128))[1] == (0, 0)
