"""Tensors into a network: every name and every shape is checked first, and what is wrong is said in one sentence."""

from collections.abc import Mapping

from torch import Tensor, nn

from restorekit.errors import ModelError

__all__ = ["put_weights"]


def put_weights(network: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Make ``tensors`` the weights of ``network``, which may be on the meta device.

    Args:
        network: any; its weights are replaced, not copied into, so dtype and device become those of ``tensors``.
        tensors: one for each name of ``network.state_dict()``, of the same shape.
        where: the file, for messages.

    Raises:
        ModelError: a tensor is missing, unexpected, or of another shape; the network is unchanged.
    """
    expected = network.state_dict()
    missing = [name for name in expected if name not in tensors]
    unexpected = [name for name in tensors if name not in expected]
    differing = [name for name in expected if name in tensors and tensors[name].shape != expected[name].shape]
    problems = []
    if differing:
        name = differing[0]
        problems.append(
            f"expected {name} of shape {tuple(expected[name].shape)}, got {tuple(tensors[name].shape)} "
            f"({len(differing)} of {len(expected)} shapes differ)"
        )
    if missing:
        problems.append(f"expected {len(expected)} tensors, {len(missing)} are missing, the first is {missing[0]}")
    if unexpected:
        problems.append(f"got {len(unexpected)} tensors that are not expected, the first is {unexpected[0]}")
    if problems:
        kind = type(network).__name__
        raise ModelError(f"{where}: {'; '.join(problems)}; build {kind} with the options that the file was made with")
    network.load_state_dict(dict(tensors), assign=True)
