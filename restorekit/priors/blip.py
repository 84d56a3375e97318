"""BLIP and BLIP-2 through transformers. Papers that use them as priors do not say which features; ours are below."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.errors import ModelError
from restorekit.priors.frame import (
    FeatureNetwork,
    InputPreparation,
    InputSize,
    PreparedImages,
    SizeOptions,
    tokens_to_map,
)
from restorekit.priors.sources import fetch
from restorekit.priors.transformers_clip import CLIP_MEAN, CLIP_STD, read_transformers

__all__ = ["Blip2Features", "BlipFeatures", "load_blip", "load_blip2"]


def load_blip(source: str, options: SizeOptions | None = None) -> FeatureNetwork:
    """The image tower of a BLIP model, whatever task the model is for.

    Args:
        source: a folder as ``save_pretrained`` writes it, or a hub name such as
            "Salesforce/blip-image-captioning-base".
        options: at which size it sees images; None: resized.

    Raises:
        DependencyError: no such folder; the hub cannot be reached, or has no such model.
        ModelError: the folder holds another network.
    """
    model: Any = fetch(f"blip:{source}", source, _read_blip, form="blip:FOLDER")
    return BlipFeatures(model.vision_model, input=(options or SizeOptions()).input)


def load_blip2(source: str, options: SizeOptions | None = None) -> FeatureNetwork:
    """The image tower and the Q-Former of a BLIP-2 model; its language model is not loaded.

    Args:
        source: a folder as ``save_pretrained`` writes it, or a hub name such as "Salesforce/blip2-itm-vit-g".
        options: at which size it sees images; None: resized.

    Raises:
        DependencyError: no such folder; the hub cannot be reached, or has no such model.
        ModelError: the folder holds another network.
    """
    model = fetch(f"blip2:{source}", source, _read_blip2, form="blip2:FOLDER")
    return Blip2Features(model, input=(options or SizeOptions()).input)


class _Towered(FeatureNetwork):
    """What BLIP and BLIP-2 share: a vision transformer whose patch tokens are the map."""

    def __init__(self, vision_model: Any, *, input: InputSize) -> None:
        super().__init__()
        self.vision_model = vision_model
        config = vision_model.config
        side, self.patch_px = int(config.image_size), int(config.patch_size)
        self.prepare = InputPreparation((side, side), cell_px=self.patch_px, input=input, mean=CLIP_MEAN, std=CLIP_STD)

    def maps(self, images: Images) -> Float[Tensor, "batch tower_channels rows columns"]:
        """The patch tokens after the last norm."""
        prepared = self.prepare(images)
        return tokens_to_map(self._tokens(prepared)[:, 1:], prepared.shape[2] // self.patch_px)

    def _tokens(self, prepared: PreparedImages) -> Float[Tensor, "batch tokens tower_channels"]:
        """Class token first."""
        answer = self.vision_model(pixel_values=prepared, interpolate_pos_encoding=True)
        return answer.last_hidden_state  # type: ignore[no-any-return]


class BlipFeatures(_Towered):
    """BLIP: vectors are the class token after the last norm, which every BLIP model has (768 values for "base")."""

    def __init__(self, vision_model: Any, *, input: InputSize) -> None:
        super().__init__(vision_model, input=input)
        self.dim = int(vision_model.config.hidden_size)

    def vectors(self, images: Images) -> Float[Tensor, "batch dim"]:
        """See ``FeatureNetwork``."""
        return self._tokens(self.prepare(images))[:, 0]


class Blip2Features(_Towered):
    """BLIP-2: vectors are the mean of what the Q-Former's queries answer (32 queries of 768 values as published).

    This is what a BLIP-2 model hands to its language model, before the projection that differs between models. The map
    is the image tower's, since queries have no place in the image; it has other channels (1408 for ViT-g).

    Args:
        model: with ``vision_model``, ``qformer`` and ``query_tokens``.
        input: see ``SizeOptions``.

    Differs from the paper (PTG-RM, arXiv:2403.06793, "-b"): it does not say which features of BLIP-2 it uses.
    """

    def __init__(self, model: Any, *, input: InputSize) -> None:
        super().__init__(model.vision_model, input=input)
        self.qformer = model.qformer
        self.query_tokens = model.query_tokens
        self.dim = int(model.qformer.config.hidden_size)

    def vectors(self, images: Images) -> Float[Tensor, "batch dim"]:
        """See ``FeatureNetwork``."""
        tokens = self._tokens(self.prepare(images))
        queries = self.query_tokens.expand(len(tokens), -1, -1)
        answer = self.qformer(query_embeds=queries, encoder_hidden_states=tokens)
        return answer.last_hidden_state.mean(dim=1)  # type: ignore[no-any-return]


def _read_blip(source: str) -> nn.Module:
    """The model as it was saved: which class that was stands in its configuration."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(source)
    kinds = [kind for kind in config.architectures or () if kind.startswith("Blip") and hasattr(transformers, kind)]
    if config.model_type != "blip" or not kinds:
        raise ModelError(f"{source}: expected a BLIP model, got {config.model_type}; check the name")
    return read_transformers(kinds[0], source, used=("vision_model.",))


def _read_blip2(source: str) -> nn.Module:
    used = ("vision_model.", "qformer.", "query_tokens")  # not the projection, which generative models lack
    return read_transformers("Blip2VisionModelWithProjection", source, used=used)
