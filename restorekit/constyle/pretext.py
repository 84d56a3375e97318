"""Pretext tasks of ConStyle v2: naming what is seen in the degraded image, and agreeing with the clean image on it.

After the authors' public code of v2, which trains the encoder alone before any U-Net. The classifier is dropped once
the encoder is trained. It reads ``encoder.last_map(maps).mean(dim=(2, 3))``.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["classifier", "distillation_loss"]

HIDDEN = 512


def classifier(width: int = 16, *, classes: int = 1000) -> nn.Sequential:
    """Logits from the pooled features of an encoder of ``width``: linear, ReLU, dropout of one half, linear.

    644,584 parameters as published. Its loss is ``torch.nn.functional.cross_entropy``.
    """
    return nn.Sequential(nn.Linear(16 * width, HIDDEN), nn.ReLU(), nn.Dropout(0.5), nn.Linear(HIDDEN, classes))


def distillation_loss(
    student: Float[Tensor, "batch classes"], teacher: Float[Tensor, "batch classes"]
) -> Float[Tensor, ""]:
    """KL( softmax(teacher) || softmax(student) ), mean over the batch, in nats.

    Args:
        student: logits of degraded images.
        teacher: logits of the clean images, from a momentum encoder and a classifier in evaluation mode; no gradient
            reaches them.

    Differs from the authors' code: by logarithms of softmax throughout, where theirs takes log(softmax) and leaves
    dropout on in the teacher.
    """
    found, wanted = F.log_softmax(student, dim=1), F.log_softmax(teacher.detach(), dim=1)
    return F.kl_div(found, wanted, reduction="batchmean", log_target=True)
