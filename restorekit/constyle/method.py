"""ConStyle as a ``Method``: how a checked recipe becomes a restorer or a training task."""

from pathlib import Path

import torch
from pydantic import BaseModel
from torch import nn

from restorekit.constyle.network import ConStyleNetwork
from restorekit.constyle.restorer import ConStyleRestorer
from restorekit.constyle.settings import ConStyleConfig
from restorekit.constyle.task import ConStyleTask
from restorekit.core.networks.loading import put_weights
from restorekit.core.restorer import Restorer, TrainingTask
from restorekit.core.weights import load_weights
from restorekit.errors import ModelError

__all__ = ["METHOD", "ConStyleMethod"]


class ConStyleMethod:
    """IRConStyle (Fan et al. 2024, arXiv:2402.15784)."""

    name = "constyle"
    summary = "A contrastive encoder tells a U-Net how the image is degraded."
    config: type[BaseModel] = ConStyleConfig

    def restorer(self, config: BaseModel) -> Restorer:
        """The network of a checked ``ConStyleConfig``; its weights load on first use."""
        checked = ConStyleConfig.model_validate(config.model_dump())
        return ConStyleRestorer(self.name, checked.network, Path(checked.weights) if checked.weights else None)

    def task(self, config: BaseModel, recipe: object) -> TrainingTask:  # noqa: ARG002
        """A task with fresh weights from torch's global generator, or those of the config's files.

        Raises:
            ModelError: a weight file that is absent, damaged, or of another network.
        """
        checked = ConStyleConfig.model_validate(config.model_dump())
        network = checked.network.build()
        if checked.weights:
            put_weights(network, load_weights(Path(checked.weights), dtype=torch.float32), checked.weights)
        if checked.encoder_weights:
            _put_encoder(network, Path(checked.encoder_weights))
        return ConStyleTask(network, checked)

    def metadata(self, config: BaseModel) -> dict[str, str]:  # noqa: ARG002  (the loop stores the whole config)
        """Nothing beyond what the loop stores."""
        return {}


def _put_encoder(network: ConStyleNetwork, path: Path) -> None:
    """The encoder of an earlier run into a new network."""
    tensors = load_weights(path, dtype=torch.float32)
    prefix = "encoder."
    found = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if not found:
        raise ModelError(f"{path}: expected weights of a ConStyle run, got ones without an encoder")
    encoder = network.encoder
    assert isinstance(encoder, nn.Module)
    put_weights(encoder, found, str(path))


METHOD = ConStyleMethod()
