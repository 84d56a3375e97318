"""ConStyle as a ``Method``: how a checked recipe becomes a restorer or a training task.

Importing this loads no torch, so that the command line can list what the method brings without waiting for it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel

from restorekit.errors import ModelError

if TYPE_CHECKING:
    from restorekit.constyle.network import ConStyleNetwork
    from restorekit.core.restorer import Restorer, TrainingTask

__all__ = ["METHOD", "ConStyleMethod"]


class ConStyleMethod:
    """IRConStyle (Fan et al. 2024, arXiv:2402.15784)."""

    name = "constyle"
    summary = "A contrastive encoder tells a U-Net how the image is degraded."
    commands: ClassVar[Mapping[str, str]] = {"embed": "restorekit.constyle.commands:embed"}
    """Its own commands besides those that every method has."""
    convert = "restorekit.constyle.convert:convert"
    """What ``restorekit models convert`` asks whether a checkpoint is of this method."""

    @property
    def config(self) -> type[BaseModel]:
        """``ConStyleConfig``."""
        from restorekit.constyle.settings import ConStyleConfig

        return ConStyleConfig

    def restorer(self, config: BaseModel) -> "Restorer":
        """The network of a checked ``ConStyleConfig``; its weights load on first use."""
        from restorekit.constyle.restorer import ConStyleRestorer
        from restorekit.constyle.settings import ConStyleConfig

        checked = ConStyleConfig.model_validate(config.model_dump())
        return ConStyleRestorer(self.name, checked.network, Path(checked.weights) if checked.weights else None)

    def task(self, config: BaseModel, recipe: object) -> "TrainingTask":  # noqa: ARG002
        """A task with fresh weights from torch's global generator, or those of the config's files.

        Raises:
            ModelError: a weight file that is absent, damaged, or of another network.
        """
        import torch

        from restorekit.constyle.settings import ConStyleConfig
        from restorekit.constyle.task import ConStyleTask
        from restorekit.core.networks.loading import put_weights
        from restorekit.core.weights import load_weights

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


def _put_encoder(network: "ConStyleNetwork", path: Path) -> None:
    """The encoder of an earlier run into a new network."""
    import torch

    from restorekit.core.networks.loading import put_weights
    from restorekit.core.weights import load_weights

    tensors = load_weights(path, dtype=torch.float32)
    prefix = "encoder."
    found = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if not found:
        raise ModelError(f"{path}: expected weights of a ConStyle run, got ones without an encoder")
    encoder = network.encoder
    assert encoder is not None
    put_weights(encoder, found, str(path))


METHOD = ConStyleMethod()
