"""A student foretells a prior from the image alone, exactly for photos of any size."""

import pickle
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from restorekit.core.image.canvas import TensorView
from restorekit.core.prior import FeaturePrior
from restorekit.errors import ImageError, UsageError
from restorekit.refine.student import CELL_PX, Student, StudentConfig, StudentPrior, distillation_loss


def make(width=2, dim=5):
    torch.manual_seed(0)
    return Student(StudentConfig(width=width), dim)


def test_default_student_is_tiny() -> None:
    """Convolutions 3-16-32-64-64 with biases, linear 64-64 and 64-512."""
    convolutions = sum(9 * a * b + b for a, b in ((3, 16), (16, 32), (32, 64), (64, 64)))
    expected = convolutions + 64 * 64 + 64 + 64 * 512 + 512
    assert sum(p.numel() for p in make(width=16, dim=512).parameters()) == expected == 97_952


def test_answers_have_unit_length_for_any_size() -> None:
    for size in ((1, 1), (16, 16), (33, 50)):
        torch.testing.assert_close(make()(torch.rand(2, 3, *size)).norm(dim=1), torch.ones(2))


def test_distillation_loss_is_one_minus_the_cosine() -> None:
    said, wanted = torch.randn(4, 5), torch.randn(4, 5)
    expected = 1 - F.cosine_similarity(said, wanted).mean()
    torch.testing.assert_close(distillation_loss(F.normalize(said, dim=1), F.normalize(wanted, dim=1)), expected)
    same = F.normalize(said, dim=1)
    torch.testing.assert_close(distillation_loss(same, same), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_no_gradient_reaches_the_prior() -> None:
    wanted = F.normalize(torch.randn(2, 5), dim=1).requires_grad_()
    student = make()
    distillation_loss(student(torch.rand(2, 3, 16, 16)), wanted).backward()
    assert wanted.grad is None
    assert all(p.grad is not None for p in student.parameters())


def test_student_learns_what_it_is_shown() -> None:
    """Two kinds of images, bright and dark, with opposite vectors."""
    images = torch.cat([torch.full((2, 3, 16, 16), 0.9), torch.full((2, 3, 16, 16), 0.1)])
    wanted = F.normalize(torch.tensor([[1.0, 0, 0, 0, 0]] * 2 + [[-1.0, 0, 0, 0, 0]] * 2), dim=1)
    student = make(width=4)
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-2)
    for _ in range(60):
        loss = distillation_loss(student(images), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1


@pytest.mark.parametrize(("height", "width", "tile_px"), [(64, 96, 32), (80, 50, 48), (33, 70, 16), (16, 16, 512)])
def test_vector_of_a_photo_is_exact_tile_by_tile(height, width, tile_px) -> None:
    prior = StudentPrior(make, 5)
    images = torch.rand(1, 3, height, width)
    view = TensorView(images, tile_px=tile_px)
    assert tile_px % CELL_PX == 0
    torch.testing.assert_close(prior.features_of(view), prior.features(images), atol=1e-6, rtol=1e-5)


def test_map_holds_what_each_cell_says_alone() -> None:
    prior = StudentPrior(make, 5)
    images = torch.rand(2, 3, 32, 48)
    maps = prior.feature_map(images)
    assert maps.shape == (2, 5, 2, 3)
    torch.testing.assert_close(maps.norm(dim=1), torch.ones(2, 2, 3))
    cells = prior.student.cells(images)
    torch.testing.assert_close(maps[1, :, 1, 2], prior.student.vectors(cells[1:, :, 1, 2])[0])


def test_student_is_a_prior_that_sleeps_until_asked() -> None:
    asked = []

    def load():
        asked.append(1)
        return make()

    prior = StudentPrior(load, 5)
    assert isinstance(prior, FeaturePrior)
    assert prior.dim == 5
    assert prior.to(torch.device("cpu"), "bfloat16") is prior
    assert asked == []
    prior.features(torch.rand(1, 3, 16, 16))
    prior.features(torch.rand(1, 3, 16, 16))
    assert asked == [1]


def test_pickled_student_carries_no_weights() -> None:
    prior = StudentPrior(partial(Student, StudentConfig(width=64), 512), 512)
    prior.features(torch.rand(1, 3, 16, 16))
    assert len(pickle.dumps(prior)) < 2000


def test_bad_input_is_refused() -> None:
    prior = StudentPrior(make, 5)
    with pytest.raises(ImageError, match="student: expected finite values"):
        prior.features(torch.full((1, 3, 16, 16), torch.nan))
    with pytest.raises(UsageError, match="--precision: expected one of"):
        prior.to(torch.device("cpu"), "int8")
