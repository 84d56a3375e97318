"""CLIP and its relatives through open_clip: any of its models, a published set of weights or a file of one's own.

- PTG-RM (arXiv:2403.06793) uses OpenAI's ViT-B/32: the projected class token, 512 values, at unit length.
- Weights with QuickGELU are computed with QuickGELU, whatever the model's name says; open_clip itself only warns.
"""

import importlib
import logging
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from restorekit.core.image.convention import Images
from restorekit.errors import DependencyError, ModelError, did_you_mean
from restorekit.priors.frame import (
    FeatureNetwork,
    InputPreparation,
    InputSize,
    PreparedImages,
    SizeOptions,
    tokens_to_map,
)
from restorekit.priors.sources import absent, download, in_words, is_path, not_there

__all__ = ["OpenClipFeatures", "interpolate_positions", "load_open_clip"]

FORM = "open_clip:MODEL:FILE"
FOLDER_FORM = "open_clip:local-dir:FOLDER"
SCHEMAS = ("hf-hub", "local-dir")  # open_clip's own words before a hub name or a folder that holds a configuration


def load_open_clip(
    model: str = "ViT-B-32", weights: str = "openai", options: SizeOptions | None = None
) -> FeatureNetwork:
    """The image tower of an open_clip model; the text tower is dropped.

    Args:
        model: a name of open_clip, such as "ViT-B-32"; "hf-hub" or "local-dir" if ``weights`` says it all.
        weights: one of open_clip's tags for the model, a file (OpenAI's own archives too; those say their own
            architecture), a hub name, or a folder with ``open_clip_config.json``. A file does not say whether it was
            trained with QuickGELU; OpenAI's weights were, and need a model such as "ViT-B-32-quickgelu".
        options: at which size it sees images; None: resized.

    Raises:
        ModelError: no model or tag of that name, or a file that does not fit the model.
        DependencyError: the weights are absent and cannot be downloaded.
    """
    open_clip = _open_clip()
    where = f"open_clip:{model}:{weights}"
    path = Path(weights).expanduser()
    if model == "local-dir" and not path.is_dir():
        raise not_there(where, path, FOLDER_FORM)
    if model in SCHEMAS:
        clip = _create(where, f"{model}:{path if model == 'local-dir' else weights}")
    elif path.is_dir():
        clip = _create(where, f"local-dir:{path}")
    elif model.replace("/", "-") not in open_clip.list_models():
        hint = did_you_mean(model, open_clip.list_models()) or "; open_clip.list_models() names them"
        raise ModelError(f"{where}: expected a model of open_clip, got {model!r}{hint}")
    elif path.is_file():
        clip = _from_archive(where, path) if _is_torchscript(path) else _create(where, model, pretrained=str(path))
    else:
        clip = _create(where, model, **_tagged(where, model.replace("/", "-"), weights))
    seen = open_clip.get_model_preprocess_cfg(clip)
    size = (options or SizeOptions()).input
    return OpenClipFeatures(clip.visual, where=where, input=size, mean=seen["mean"], std=seen["std"])


class OpenClipFeatures(FeatureNetwork):
    """An image tower of open_clip.

    Vectors are its image embeddings, as ``encode_image`` gives them. Maps are the patch tokens after the same last norm
    and projection; towers other than plain vision transformers have none, and take no native sizes.

    Args:
        visual: ``model.visual``; it is changed to return its tokens.
        where: the prior, for messages.
        input: see ``SizeOptions``.
        mean: of its training images, by colour.
        std: of its training images, by colour.

    Raises:
        ModelError: native sizes are asked of a tower that has a fixed one.

    Differs from the paper: it does not say how images of other sizes enter a network with 50 position embeddings, and
    the authors' code fails on them. Here they are resized to 224 x 224, or the embedding is.
    """

    def __init__(
        self,
        visual: Any,
        *,
        where: str,
        input: InputSize,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        VisionTransformer = importlib.import_module("open_clip.transformer").VisionTransformer
        super().__init__()
        self.where = where
        self.visual = visual.eval()
        self.is_transformer = isinstance(visual, VisionTransformer)
        self.has_tokens = isinstance(visual, VisionTransformer) and visual.attn_pool is None
        if input == "native" and not self.is_transformer:
            raise ModelError(
                f"{where}: expected a vision transformer for input=native, got {type(visual).__name__}; leave "
                "input=resize"
            )
        self.visual.output_tokens = self.has_tokens
        side = self.visual.image_size
        side_px = (side, side) if isinstance(side, int) else tuple(side)
        cell_px = self.visual.patch_size[0] if self.is_transformer else 1
        self.prepare = InputPreparation(side_px, cell_px=cell_px, input=input, mean=mean, std=std)
        self.dim = getattr(visual, "output_dim", None) or self.vectors(torch.zeros(1, 3, *side_px)).shape[1]

    def vectors(self, images: Images) -> Float[Tensor, "batch dim"]:
        """See ``FeatureNetwork``."""
        answer = self._see(self.prepare(images))
        vectors: Tensor = answer[0] if self.has_tokens else answer
        return vectors

    def maps(self, images: Images) -> Float[Tensor, "batch dim rows columns"]:
        """See ``FeatureNetwork``."""
        if not self.has_tokens:
            raise ModelError(
                f"{self.where}: expected a tower with patch tokens for a feature map, got "
                f"{type(self.visual).__name__}; take a plain vision transformer such as ViT-B-32"
            )
        prepared = self.prepare(images)
        tokens = self._see(prepared)[1]
        if self.visual.final_ln_after_pool:
            tokens = self.visual.ln_post(tokens)
        projected = tokens if self.visual.proj is None else tokens @ self.visual.proj
        return tokens_to_map(projected, prepared.shape[2] // self.visual.patch_size[0])

    def _see(self, prepared: PreparedImages) -> Any:
        """The tower's answer, with its position embedding resized if the grid of patches is not the trained one."""
        if not self.is_transformer:
            return self.visual(prepared)
        trained = tuple(self.visual.grid_size)
        grid = tuple(side // patch for side, patch in zip(prepared.shape[2:], self.visual.patch_size, strict=True))
        if grid == trained:
            return self.visual(prepared)
        positions = interpolate_positions(self.visual.positional_embedding, trained, grid)
        return torch.func.functional_call(self.visual, {"positional_embedding": positions}, (prepared,))


def interpolate_positions(
    positions: Float[Tensor, "tokens width"], trained: tuple[int, ...], grid: tuple[int, ...]
) -> Float[Tensor, "new_tokens width"]:
    """Position embeddings for another grid of patches: bicubic over the plane, the class token's stays.

    Args:
        positions: the class token's first, then those of ``trained``, row by row.
        trained: rows and columns that ``positions`` were trained with.
        grid: rows and columns that are needed.
    """
    plane = positions[1:].T.reshape(1, -1, *trained)
    resized = F.interpolate(plane, size=grid, mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([positions[:1], resized[0].flatten(1).T])


def _tagged(where: str, model: str, tag: str) -> dict[str, Any]:
    """What ``create_model`` is given for one of open_clip's tags."""
    open_clip = _open_clip()
    published = open_clip.get_pretrained_cfg(model, tag)
    if published:
        return {"pretrained": tag, "force_quick_gelu": bool(published.get("quick_gelu", False))}
    if is_path(tag):
        raise not_there(where, tag, FORM)
    tags = open_clip.list_pretrained_tags_by_model(model)
    raise ModelError(f"{where}: expected a file or one of {', '.join(tags)}, got {tag!r}" + did_you_mean(tag, tags))


def _create(where: str, model: str, **arguments: Any) -> Any:
    """open_clip's model with its weights; whatever it raises becomes one of our errors."""
    open_clip = _open_clip()
    tag = arguments.get("pretrained")
    try:
        with _quiet_root_logger():
            return open_clip.create_model(model, require_pretrained=True, **arguments)
    except Exception as error:  # of open_clip, the hub's client, torch's and safetensors' readers
        if model.startswith("local-dir:") or (tag and Path(tag).is_file()):
            raise ModelError(f"{where}: expected weights of this model, got {in_words(error)}") from error
        raise _offline(where, model, tag, error) from error


def _offline(where: str, model: str, tag: str | None, error: Exception) -> DependencyError:
    published = _open_clip().get_pretrained_cfg(model.replace("/", "-"), tag) if tag else {}
    repository = published.get("hf_hub", "").rpartition("/")[0] if tag else model.removeprefix("hf-hub:")
    if not repository:
        return absent(where, error, f"download {published.get('url')}", FORM)
    return absent(where, error, download(repository), FOLDER_FORM)


def _open_clip() -> Any:
    return importlib.import_module("open_clip")


@contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """open_clip writes to the root logger itself; what it has to say of failures is in its exceptions too."""

    def refuse(record: logging.LogRecord) -> bool:  # noqa: ARG001
        return False

    logging.getLogger().addFilter(refuse)
    try:
        yield
    finally:
        logging.getLogger().removeFilter(refuse)


def _is_torchscript(path: Path) -> bool:
    """Whether a file is an archive as OpenAI published them."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _from_archive(where: str, path: Path) -> Any:
    open_clip = _open_clip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch is giving up TorchScript
            return open_clip.load_openai_model(str(path), precision="fp32", device="cpu")
    except Exception as error:  # torch's archive reader and open_clip's builder raise nearly anything
        raise ModelError(f"{where}: expected an archive of OpenAI's CLIP, got {in_words(error)}") from error
