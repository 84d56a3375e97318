"""Any image model of timm, without its classifier: published weights, or a file of one's own."""

import importlib
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from restorekit.core.image.convention import Images
from restorekit.core.networks.loading import put_weights
from restorekit.errors import ModelError, did_you_mean
from restorekit.priors.frame import FeatureNetwork, InputPreparation, InputSize, SizeOptions, tokens_to_map
from restorekit.priors.sources import absent, download, in_words, not_there

__all__ = ["TimmFeatures", "load_timm"]

SCHEMAS = ("hf-hub", "local-dir")  # timm's own words before a hub name or a folder that holds a configuration
FORM = "timm:MODEL:FILE"
FOLDER_FORM = "timm:local-dir:FOLDER"


def load_timm(model: str, weights: str | None = None, options: SizeOptions | None = None) -> FeatureNetwork:
    """A model of timm as features.

    Args:
        model: a name of timm with or without the tag of published weights, such as "mobilenetv2_100.ra_in1k";
            "hf-hub" or "local-dir" if ``weights`` says it all.
        weights: a file in timm's layout; a hub name or a folder with those two words; None: the published ones.
        options: at which size it sees images; None: resized.

    Raises:
        ModelError: no model of that name; a file that does not fit; native sizes of a model with a fixed size.
        DependencyError: the weights are absent and cannot be downloaded.
    """
    import timm

    size = (options or SizeOptions()).input
    where = f"timm:{model}" if weights is None else f"timm:{model}:{weights}"
    path = Path(weights or "").expanduser()
    if model == "local-dir" and not path.is_dir():
        raise not_there(where, path, FOLDER_FORM)
    if model in SCHEMAS:
        network = _published(where, f"{model}:{path if model == 'local-dir' else weights}", size)
    elif not timm.is_model(model):
        known = timm.list_models()
        hint = did_you_mean(model.partition(".")[0], known) or "; timm.list_models() names them"
        raise ModelError(f"{where}: expected a model of timm, got {model!r}{hint}")
    elif weights is None:
        network = _published(where, model, size)
    else:
        network = _from_file(where, model, path, size)
    return TimmFeatures(network, where=where, input=size)


class TimmFeatures(FeatureNetwork):
    """A timm model built with ``num_classes=0``.

    Vectors are what its classifier would have read (1280 values for MobileNetV2); maps are its features before
    pooling, with as many channels in most models.

    Args:
        network: the model.
        where: the prior, for messages.
        input: see ``SizeOptions``.
    """

    def __init__(self, network: Any, *, where: str, input: InputSize) -> None:
        data: Any = importlib.import_module("timm.data")
        super().__init__()
        self.where = where
        self.network = network
        stages = getattr(network, "feature_info", None)
        self.stride_px = int(stages[-1]["reduction"]) if stages else 32
        seen = data.resolve_model_data_config(network)
        side_px = (int(seen["input_size"][1]), int(seen["input_size"][2]))
        self.prepare = InputPreparation(
            side_px, cell_px=self.stride_px, input=input, mean=seen["mean"], std=seen["std"]
        )
        self.dim = int(getattr(network, "head_hidden_size", None) or network.num_features)

    def vectors(self, images: Images) -> Float[Tensor, "batch dim"]:
        """See ``FeatureNetwork``."""
        return self.network(self.prepare(images))  # type: ignore[no-any-return]

    def maps(self, images: Images) -> Float[Tensor, "batch channels rows columns"]:
        """See ``FeatureNetwork``."""
        prepared = self.prepare(images)
        features: Tensor = self.network.forward_features(prepared)
        width = int(self.network.num_features)
        if features.ndim == 4 and features.shape[1] == width:
            return features
        if features.ndim == 4 and features.shape[3] == width:
            return features.permute(0, 3, 1, 2)
        rows = prepared.shape[2] // self.stride_px
        patches = features[:, getattr(self.network, "num_prefix_tokens", 0) :] if features.ndim == 3 else features
        if patches.ndim != 3 or patches.shape[1] != rows * (prepared.shape[3] // self.stride_px):
            raise ModelError(
                f"{self.where}: expected features on a grid, got shape {tuple(features.shape)}; it has no map"
            )
        return tokens_to_map(patches, rows)


def _published(where: str, model: str, size: InputSize) -> Any:
    """A model with the weights of its tag, or of a folder, from the hub's cache, or from the hub."""
    import timm

    repository = model.removeprefix("hf-hub:")
    if not model.startswith(SCHEMAS):
        published = timm.get_pretrained_cfg(model)
        if published is None or not published.has_weights:
            raise ModelError(
                f"{where}: expected a model with published weights, timm knows none; pass a file as {FORM}"
            )
        repository = published.hf_hub_id or model
    try:
        return _create(where, model, size, pretrained=True)
    except ModelError:
        raise
    except Exception as error:  # of timm, the hub's client and the weights' reader
        if model.startswith("local-dir:"):
            raise ModelError(f"{where}: expected a folder as timm saves it, got {in_words(error)}") from error
        raise absent(where, error, download(repository), FOLDER_FORM) from error


def _from_file(where: str, model: str, path: Path, size: InputSize) -> Any:
    """A model with the weights of a file, its classifier left aside."""
    import timm.models

    if not path.is_file():
        raise not_there(where, path, FORM)
    network = _create(where, model, size, pretrained=False)
    try:
        tensors = timm.models.load_state_dict(str(path))
    except Exception as error:  # unpickling a broken file raises nearly anything
        raise ModelError(f"{where}: expected a file of weights, got {in_words(error)}; fetch it again") from error
    heads = network.pretrained_cfg.get("classifier") or ()
    heads = tuple(f"{head}." for head in ((heads,) if isinstance(heads, str) else heads))
    kept = {key: value for key, value in tensors.items() if not key.startswith(heads)}
    put_weights(network, kept, where)
    return network.float()


def _create(where: str, model: str, size: InputSize, *, pretrained: bool) -> Any:
    """A model without classifier that takes images of the wanted sizes."""
    import timm

    if size == "native":
        try:
            return timm.create_model(model, pretrained=pretrained, num_classes=0, dynamic_img_size=True)
        except TypeError:  # only transformers have this setting
            pass
    network: Any = timm.create_model(model, pretrained=pretrained, num_classes=0)
    if size == "native" and network.pretrained_cfg.get("fixed_input_size"):
        raise ModelError(f"{where}: expected a model for images of any size, got one of fixed size; leave input=resize")
    return network
