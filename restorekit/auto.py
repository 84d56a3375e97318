"""The model that fits each photo: ``--model auto``."""

from restorekit.core.image.convention import Samples
from restorekit.core.restorer import Restorer
from restorekit.diagnosis import diagnose
from restorekit.diagnosis.verdict import MODELS
from restorekit.zoo import load, model_identity

__all__ = ["AUTO", "AutoModel", "auto_identity"]

AUTO = "auto"
"""The model text that asks for it."""


class AutoModel:
    """Diagnoses photos and names a restorer for each; every model is loaded once, when it is first needed.

    Args:
        device: as for ``restorekit.load``.
        precision: likewise.
    """

    def __init__(self, *, device: str = "auto", precision: str = "auto") -> None:
        self._placement = {"device": device, "precision": precision}
        self._loaded: dict[str, Restorer] = {}

    def choose(self, samples: Samples) -> Restorer | None:
        """The restorer that ``diagnose`` proposes for (height, width, 1 or 3) samples; None: leave them as they are.

        Raises:
            ImageError: the photo is smaller than 32x32 px, or not finite.
            ModelError: the model cannot be loaded.
        """
        model = diagnose(samples).model
        if model is None:
            return None
        if model not in self._loaded:
            self._loaded[model] = load(model, **self._placement)
        return self._loaded[model]


def auto_identity() -> str:
    """A text that changes when any model that may be chosen does; see ``zoo.model_identity``."""
    return " ".join([AUTO, *(model_identity(model) for model in sorted({model for model in MODELS.values() if model}))])
