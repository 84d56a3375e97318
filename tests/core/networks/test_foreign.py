"""Foreign checkpoints through spandrel: refused clearly without it, and wrapped as spandrel describes them.

spandrel itself is optional: most tests meet a stand-in with its published interface, the last one the real package.
"""

import enum
import pickle
import sys
import types
from itertools import pairwise

import pytest
import torch

from restorekit.core.networks import load_foreign
from restorekit.errors import DependencyError, ModelError

Tiling = enum.Enum("Tiling", ["SUPPORTED", "DISCOURAGED", "INTERNAL"])


class Descriptor:
    """The part of spandrel's ImageModelDescriptor that is used."""

    def __init__(self, planes=(3, 3), scale=1, tiling=Tiling.SUPPORTED, half=False):
        self.model = torch.nn.Conv2d(*planes, 1, bias=False)
        torch.nn.init.constant_(self.model.weight, 0.25)
        self.input_channels, self.output_channels = planes
        self.scale, self.tiling, self.purpose = scale, tiling, "Restoration" if scale == 1 else "SR"
        self.architecture = types.SimpleNamespace(name="Toy")
        self.size_requirements = types.SimpleNamespace(minimum=16, multiple_of=8, square=False)
        self.supports_half, self.supports_bfloat16 = half, half

    def __call__(self, image):
        assert image.shape[0] == 1
        return self.model(image).clamp_(0, 1)


class MaskedDescriptor:
    purpose = "Inpainting"


class UnsupportedModelError(Exception):
    pass


@pytest.fixture
def spandrel(monkeypatch, tmp_path):
    """Installs a stand-in; returns (a function that sets what its loader finds, the checkpoint's path)."""
    found = {}

    class ModelLoader:
        def load_from_file(self, path):
            if isinstance(found["it"], Exception):
                raise found["it"]
            return found["it"]

    module = types.ModuleType("spandrel")
    module.ModelLoader, module.UnsupportedModelError = ModelLoader, UnsupportedModelError
    module.ImageModelDescriptor = Descriptor
    monkeypatch.setitem(sys.modules, "spandrel", module)
    path = tmp_path / "net.pth"
    path.touch()
    return lambda it: found.update(it=it), path


def test_absent_spandrel_is_named_with_its_remedy(monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(DependencyError, match=r'spandrel: expected the package .* pip install "restorekit\[zoo\]"'):
        load_foreign(tmp_path / "net.pth")


def test_descriptor_becomes_a_spec(spandrel) -> None:
    put, path = spandrel
    put(Descriptor())
    restorer = load_foreign(path)
    assert restorer.name == f"spandrel:{path}"
    assert (restorer.spec.multiple_of, restorer.spec.minimum, restorer.spec.tiling) == (8, 16, "overlap")
    assert restorer.parameters == 9
    assert (restorer.architecture, restorer.purpose) == ("Toy", "Restoration")
    images = torch.rand(2, 3, 16, 16)
    expected = images.sum(1, keepdim=True).expand_as(images) * 0.25
    torch.testing.assert_close(restorer.restore(images), expected)


@pytest.mark.parametrize("tiling", [Tiling.DISCOURAGED, Tiling.INTERNAL])
def test_network_that_should_not_be_tiled_sees_whole_images(spandrel, tiling) -> None:
    put, path = spandrel
    put(Descriptor(tiling=tiling))
    assert load_foreign(path).spec.tiling == "whole"


def test_gray_network_runs_on_each_colour(spandrel) -> None:
    put, path = spandrel
    put(Descriptor(planes=(1, 1)))
    images = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(load_foreign(path).restore(images), images * 0.25)


def test_pickled_foreign_restorer_reads_the_file_again(spandrel) -> None:
    put, path = spandrel
    put(Descriptor())
    restorer = load_foreign(path)
    images = torch.rand(1, 3, 16, 16)
    assert torch.equal(pickle.loads(pickle.dumps(restorer)).restore(images), restorer.restore(images))


def test_precision_that_is_not_supported_falls_back(spandrel) -> None:
    put, path = spandrel
    put(Descriptor(half=False))
    assert load_foreign(path).to(torch.device("cpu"), "bfloat16").precision == "float32"
    put(Descriptor(half=True))
    assert load_foreign(path).to(torch.device("cpu"), "bfloat16").precision == "bfloat16"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (Descriptor(scale=4), "keeps the size of the image, got Toy for 4x super-resolution"),
        (Descriptor(planes=(4, 3)), "expected a network from 3 planes to 3 .* got 4 to 3"),
        (MaskedDescriptor(), "expected a network that takes an image, got Inpainting, which needs a mask"),
        (UnsupportedModelError(), "architecture that spandrel knows.*pip install spandrel_extra_arches"),
        (RuntimeError("bad magic\nmore"), "expected a checkpoint that spandrel can read, got RuntimeError: bad magic$"),
    ],
)
def test_what_cannot_restore_is_refused(spandrel, found, message) -> None:
    put, path = spandrel
    put(found)
    with pytest.raises(ModelError, match=message):
        load_foreign(path)


def test_absent_checkpoint_is_refused(spandrel) -> None:
    with pytest.raises(ModelError, match=r"other\.pth: expected a checkpoint here, got nothing"):
        load_foreign(spandrel[1].with_name("other.pth"))


def test_real_spandrel_reads_a_gray_denoiser(tmp_path) -> None:
    pytest.importorskip("spandrel", reason='needs the extra: pip install "restorekit[zoo]"')
    torch.manual_seed(0)
    widths = [1, *[64] * 16, 1]
    layers = {2 * index: torch.nn.Conv2d(*pair, 3, padding=1) for index, pair in enumerate(pairwise(widths))}
    state = {f"model.{at}.{key}": value for at, layer in layers.items() for key, value in layer.state_dict().items()}
    torch.save(state, tmp_path / "dncnn.pth")
    restorer = load_foreign(tmp_path / "dncnn.pth")
    noise = torch.rand(1, 3, 24, 24)
    expected = []
    for plane in noise.split(1, dim=1):
        features = plane
        for at, layer in layers.items():
            features = layer(features) if at == 32 else layer(features).relu()
        expected.append((plane - features).clamp(0, 1))
    torch.testing.assert_close(restorer.restore(noise), torch.cat(expected, 1).detach())
