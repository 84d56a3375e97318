import math

import pytest
import torch

from restorekit.constyle.pretext import classifier, distillation_loss


def test_classifier_has_the_published_number_of_parameters() -> None:
    assert sum(parameter.numel() for parameter in classifier().parameters()) == 644_584


def test_distillation_loss_is_the_divergence_of_two_distributions() -> None:
    student, teacher = torch.tensor([[0.2, 0.8], [0.5, 0.5]]), torch.tensor([[0.6, 0.4], [0.5, 0.5]])
    expected = (0.6 * math.log(0.6 / 0.2) + 0.4 * math.log(0.4 / 0.8)) / 2
    assert float(distillation_loss(student.log() + 3, teacher.log() - 5)) == pytest.approx(expected, rel=1e-5)


def test_distillation_loss_stays_finite_and_teaches_the_student_alone() -> None:
    student, teacher = torch.tensor([[0.0, 500.0]]).requires_grad_(), torch.tensor([[500.0, 0.0]]).requires_grad_()
    loss = distillation_loss(student, teacher)
    loss.backward()
    assert loss.item() == pytest.approx(500)
    assert student.grad.tolist() == [[-1, 1]]
    assert teacher.grad is None
