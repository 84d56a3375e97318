"""CLIP through transformers: the same networks as open_clip's, in the layout of the Hugging Face hub."""

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
from restorekit.priors.sources import check_complete, fetch

__all__ = ["CLIP_MEAN", "CLIP_STD", "TransformersClipFeatures", "load_clip", "read_transformers"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
"""By colour, of CLIP's training images; BLIP and BLIP-2 were trained with it too."""
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""By colour, of CLIP's training images; BLIP and BLIP-2 were trained with it too."""


def load_clip(source: str, options: SizeOptions | None = None) -> FeatureNetwork:
    """The image tower of a CLIP model.

    Args:
        source: a folder as ``save_pretrained`` writes it, or a hub name such as "openai/clip-vit-base-patch32".
        options: at which size it sees images; None: resized.

    Raises:
        DependencyError: no such folder; the hub cannot be reached, or has no such model.
        ModelError: the folder holds another network.
    """
    tower: Any = fetch(f"clip:{source}", source, _read, form="clip:FOLDER")
    return TransformersClipFeatures(tower, input=(options or SizeOptions()).input)


class TransformersClipFeatures(FeatureNetwork):
    """The image tower of a ``CLIPModel`` or a ``CLIPVisionModelWithProjection``.

    Vectors are its image embeddings; maps are the patch tokens after the same last norm and projection.
    """

    def __init__(self, clip: Any, *, input: InputSize) -> None:
        super().__init__()
        self.vision_model = clip.vision_model
        self.visual_projection = clip.visual_projection
        config = self.vision_model.config
        self.patch_px = int(config.patch_size)
        self.prepare = InputPreparation(
            (config.image_size, config.image_size), cell_px=self.patch_px, input=input, mean=CLIP_MEAN, std=CLIP_STD
        )
        self.dim = int(clip.visual_projection.out_features)

    def vectors(self, images: Images) -> Float[Tensor, "batch dim"]:
        """See ``FeatureNetwork``."""
        return self.visual_projection(self._see(self.prepare(images)).pooler_output)  # type: ignore[no-any-return]

    def maps(self, images: Images) -> Float[Tensor, "batch dim rows columns"]:
        """See ``FeatureNetwork``."""
        prepared = self.prepare(images)
        tokens = self._see(prepared).last_hidden_state[:, 1:]
        projected = self.visual_projection(self.vision_model.post_layernorm(tokens))
        return tokens_to_map(projected, prepared.shape[2] // self.patch_px)

    def _see(self, prepared: PreparedImages) -> Any:
        """The tower's answer; at its own size transformers leaves the position embedding as it is."""
        return self.vision_model(pixel_values=prepared, interpolate_pos_encoding=True)


def read_transformers(kind: str, source: str, *, subfolder: str = "", used: tuple[str, ...] = ("",)) -> nn.Module:
    """A network of transformers in float32.

    Args:
        kind: name of a class of transformers.
        source: an existing folder, or a hub name.
        subfolder: of it.
        used: what the names begin with of weights that we use, and that must therefore be there; by default all.

    Raises:
        ModelError: the configuration is another architecture's, or weights are missing.
    """
    import transformers

    made: Any = getattr(transformers, kind)
    expected = made.config_class.model_type
    stated = transformers.AutoConfig.from_pretrained(source, subfolder=subfolder).model_type
    if stated != expected:
        raise ModelError(f"{source}: expected a network of kind {expected}, got {stated}; check the name")
    network, report = made.from_pretrained(
        source, subfolder=subfolder, output_loading_info=True, ignore_mismatched_sizes=True
    )
    mismatched = [entry[0] for entry in report["mismatched_keys"]]
    check_complete(source, [*report["missing_keys"], *mismatched], used=used)
    return network.float()  # type: ignore[no-any-return]


def _read(source: str) -> nn.Module:
    """A whole CLIP, or the image tower where that alone was saved."""
    import transformers

    alone = transformers.AutoConfig.from_pretrained(source).model_type == "clip_vision_model"
    kind = "CLIPVisionModelWithProjection" if alone else "CLIPModel"
    return read_transformers(kind, source, used=("vision_model.", "visual_projection."))
