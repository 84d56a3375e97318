"""A user's own Python code as a restorer."""

import pickle
import sys

import pytest
import torch

from restorekit.core.networks import load_callable
from restorekit.core.restorer import InputSpec, Restorer
from restorekit.errors import ImageError, ModelError

CODE = """
import torch
from restorekit.core.restorer import InputSpec

class Own:
    name, spec = "own", InputSpec(halo=3)
    def to(self, device, precision="float32"): return self
    def restore(self, degraded, *, generator=None): return degraded

def make_restorer(): return Own()
def make_function(): return lambda images: images / 2
def make_wrong_shape(): return lambda images: images[:, :1]
def make_raising(): return lambda images: images[7]
def make_number(): return 7
def make_failing(): raise OSError("no licence server")
def needs_argument(size): return None

class Module(torch.nn.Module):
    spec = InputSpec(multiple_of=4, halo=5)
    def __init__(self):
        super().__init__()
        self.drop = torch.nn.Dropout(0.5)
        self.scale = torch.nn.Parameter(torch.tensor(3.0))
    def forward(self, images): return self.drop(images) * self.scale
"""


@pytest.fixture
def user_code(tmp_path, monkeypatch):
    (tmp_path / "users_models.py").write_text(CODE)
    (tmp_path / "users_broken.py").write_text("import torch\n1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("users_models", None)


IMAGES = torch.rand(1, 3, 4, 4)


@pytest.mark.usefixtures("user_code")
def test_restorer_is_used_as_it_is() -> None:
    restorer = load_callable("python:users_models:make_restorer")
    assert type(restorer).__name__ == "Own"


@pytest.mark.usefixtures("user_code")
def test_function_sees_whole_images() -> None:
    restorer = load_callable("users_models:make_function")
    assert isinstance(restorer, Restorer)
    assert restorer.name == "python:users_models:make_function"
    assert restorer.spec.tiling == "whole"
    torch.testing.assert_close(restorer.restore(IMAGES), IMAGES / 2)


@pytest.mark.usefixtures("user_code")
def test_module_runs_in_evaluation_mode_with_its_own_spec() -> None:
    restorer = load_callable("python:users_models:Module")
    assert restorer.spec == InputSpec(multiple_of=4, halo=5)
    torch.testing.assert_close(restorer.restore(IMAGES), IMAGES * 3)
    awake = pickle.loads(pickle.dumps(restorer))
    torch.testing.assert_close(awake.restore(IMAGES), IMAGES * 3)


@pytest.mark.usefixtures("user_code")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("python:users_models", "expected python:module:factory"),
        ("python:users_nowhere:f", "expected an importable module users_nowhere, got ModuleNotFoundError.*PYTHONPATH"),
        ("python:users_broken:f", "got ZeroDivisionError: division by zero"),
        ("python:users_models:make_function_", "got nothing of that name; did you mean make_function"),
        ("python:users_models:make_number", "expected the factory to return a Restorer, .* got int"),
        (
            "python:users_models:make_failing",
            r"expected make_failing\(\) to return a restorer, got OSError: no licence",
        ),
        ("python:users_models:needs_argument", "got TypeError.*missing 1 required positional argument"),
    ],
)
def test_what_is_no_restorer_is_refused_with_the_reason(text, message) -> None:
    with pytest.raises(ModelError, match=message):
        load_callable(text)


@pytest.mark.usefixtures("user_code")
def test_what_a_users_code_raises_is_told_of_the_image() -> None:
    restorer = load_callable("users_models:make_raising")
    with pytest.raises(
        ImageError, match="users_models:make_raising: expected a restored image, got IndexError: index 7"
    ):
        restorer.restore(IMAGES)


@pytest.mark.usefixtures("user_code")
def test_result_of_another_shape_is_refused() -> None:
    restorer = load_callable("python:users_models:make_wrong_shape")
    with pytest.raises(
        ModelError, match=r"expected a result of shape \(1, 3, 4, 4\), got torch.Size\(\[1, 1, 4, 4\]\)"
    ):
        restorer.restore(IMAGES)
