"""A checked configuration and the names that others know, put together: base, module and prior."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from restorekit.core.networks.catalogue import NETWORKS, configure
from restorekit.core.networks.restorer import NetworkRestorer
from restorekit.core.networks.surveyed import SurveyedNetworkRestorer, network_restorer
from restorekit.core.options import check_options
from restorekit.core.prior import FeaturePrior
from restorekit.core.restorer import Restorer
from restorekit.core.weights import load_metadata
from restorekit.errors import ModelError, RecipeError
from restorekit.refine.controls import RandomPrior, ZeroPrior
from restorekit.refine.embedded import embedded_base, module_of, parts_in, student_of, tensors_of
from restorekit.refine.feature_restorer import FeatureRefinedRestorer
from restorekit.refine.features import FeatureRefinement, planes_of
from restorekit.refine.module import RefinementModule
from restorekit.refine.network import RefinedNetwork
from restorekit.refine.other_photos import OtherPhotosPrior
from restorekit.refine.parts import Parts
from restorekit.refine.restorer import RefinedRestorer
from restorekit.refine.settings import RefineConfig
from restorekit.refine.student import StudentPrior
from restorekit.refine.two_views import DualPixelRestorer, TwoViewNetwork

if TYPE_CHECKING:
    from restorekit.refine.perceptual import PerceptualLoss
    from restorekit.refine.task import RefineTask

__all__ = ["assemble", "assemble_task", "describe"]

WITHOUT_PRIOR = "; a refinement with a student, or one trained with embed_prior, needs no download"


def assemble(name: str, config: RefineConfig, parts: Parts) -> RefinedRestorer:
    """The restorer of a configuration; what is read from its weight file is read on first use.

    Raises:
        ModelError: a base or a prior that ``parts`` does not know; a weight file that is absent or damaged.
    """
    config = _as_in_file(config)
    path = Path(config.weights) if config.weights else None
    base, prior = _base_of(config, parts), _prior_of(config, parts, path)
    load = partial(_loaded, _builder(config, base), path)
    if config.features is not None:
        assert isinstance(base, NetworkRestorer)  # _builder sees to it
        return FeatureRefinedRestorer(
            name, base, config.features, config.module, load, prior, without_prior=WITHOUT_PRIOR
        )
    kind = DualPixelRestorer if config.dual_pixel else RefinedRestorer
    return kind(name, base, config.module, load, prior, without_prior=WITHOUT_PRIOR)


def assemble_task(config: RefineConfig, parts: Parts) -> "RefineTask":
    """The training task of a configuration, with fresh weights from torch's global generator or those of its file.

    Raises:
        RecipeError: a base that cannot learn, a prior of another length than the module's, or one without weights to
            embed; a student alone, without the module that it is for.
        ModelError: a base or a prior that ``parts`` does not know; weights that are absent, damaged, or of another
            module: the message names a tensor.
        DependencyError: the prior's weights are absent, or those of VGG-16 for the loss of EnlightenGAN, or those of
            VGG-19 for the perceptual term.
    """
    from restorekit.refine.task import RefineTask
    from restorekit.training.vgg_features import load_vgg16

    if config.learn == "student" and config.weights is None:
        raise RecipeError(
            "config.weights: expected the weights of the refinement that the student is for, got none; give them by "
            "--set config.weights=FILE"
        )
    config = _as_in_file(config)
    path = Path(config.weights) if config.weights else None
    base = _base_of(config, parts)
    own = _base_network(config, base)
    if config.joint and own is None:
        raise RecipeError(
            f"config.joint: expected false, since only a network of restorekit.core ({', '.join(NETWORKS)}) can learn "
            f"with the module, and {base.name} is none; leave it frozen"
        )
    module = module_of(_builder(config, base), path)
    prior = _teacher(config, parts, path)
    student = None
    if config.student is not None:
        known = path if path is not None and "student" in parts_in(path) else None
        student = student_of(config.student, config.module.prior_dim, known)
    learning = {"student"} if config.learn == "student" else {"student", "module"}
    learning |= {"base"} if config.joint else set()
    embedded = _embedded(config, prior)
    network = RefinedNetwork(module, base=own, student=student, prior=embedded, learning=frozenset(learning))
    features = load_vgg16(config.loss_features) if config.loss == "enlightengan" else None
    seen, multiple_of = _perceptual_of(config), base.spec.multiple_of
    return RefineTask(
        network, config, base=base, prior=prior, multiple_of=multiple_of, features=features, perceptual=seen
    )


def describe(config: RefineConfig, parts: Parts) -> RefineConfig:
    """What a weight file says of itself: its base by options instead of by name, where the base is in the file."""
    config = _as_in_file(config)
    base = _base_of(config, parts)
    own: dict[str, object] = {"weights": None, "learn": "all", "swap": None}
    if config.embed_base and isinstance(base, NetworkRestorer) and (name := _network_name(base)):
        own |= {"base_network": name, "base_options": base.config.model_dump(mode="json")}
    return config.model_copy(update=own)


def _as_in_file(config: RefineConfig) -> RefineConfig:
    """The configuration with the base that its weight file brings, if it does: a jointly trained base has changed.

    A student alone learns from the prior that the module was trained with, so it is the file's as well.

    Raises:
        ModelError: the file is absent or damaged, or of another method.
    """
    if config.weights is None or config.base_network is not None:
        return config
    metadata = load_metadata(Path(config.weights))
    if (method := metadata.get("method", "refine")) != "refine":
        raise ModelError(f"{config.weights}: expected the weights of a refinement, got those of {method}")
    found = check_options(RefineConfig, json.loads(metadata.get("method_config", "{}")))
    if isinstance(found, list):
        raise ModelError(f"{config.weights}: expected the settings of a refinement, got others: {'; '.join(found)}")
    own = {"base_network": found.base_network, "base_options": found.base_options}
    return config.model_copy(update=own | ({"prior": found.prior} if config.learn == "student" else {}))


def _base_of(config: RefineConfig, parts: Parts) -> Restorer:
    """What restores first."""
    if config.base_network is None:
        return parts.restorer(config.base)
    network = configure(config.base_network, config.base_options)
    if config.weights is None:
        return (TwoViewNetwork if config.dual_pixel else network_restorer)(config.base_network, network)
    return embedded_base(config.base_network, network, Path(config.weights))


def _base_network(config: RefineConfig, base: Restorer) -> nn.Module | None:
    """The base as a network that can travel in the weight file, on the CPU; None for any other restorer."""
    if config.base_network is not None and config.weights is None:
        return configure(config.base_network, config.base_options).build()  # from torch's global generator
    return base.load() if config.embed_base and isinstance(base, NetworkRestorer) and _network_name(base) else None


def _prior_of(config: RefineConfig, parts: Parts, path: Path | None) -> FeaturePrior | None:
    """What guides the module when a photo is restored."""
    dim = config.module.prior_dim
    if config.module.prior_use == "none":
        return None
    swap = config.swap
    if config.control == "zero" or swap == "zero":
        return ZeroPrior(dim)
    if config.control == "random" or swap == "random":
        return RandomPrior(dim)
    if config.student is not None:
        prior: FeaturePrior = StudentPrior(partial(student_of, config.student, dim, path), dim)
    else:
        prior = _named_prior(config, parts, path if config.embed_prior else None)
    return prior if swap is None else OtherPhotosPrior(prior, swap)


def _teacher(config: RefineConfig, parts: Parts, path: Path | None) -> FeaturePrior | None:
    """What guides the module, or teaches the student, in training; None where nothing is asked."""
    if not config.listens:
        return None
    travels = config.embed_prior or config.learn == "student"
    prior = _named_prior(config, parts, path if travels and path is not None and "prior" in parts_in(path) else None)
    dim = config.module.prior_dim
    if config.module.prior_use != "concat_2d" and prior.dim != dim:
        raise RecipeError(
            f"config.module.prior_dim: expected {prior.dim}, the length of the vectors of {prior.name}, got {dim}"
        )
    return prior


def _named_prior(config: RefineConfig, parts: Parts, inside: Path | None) -> FeaturePrior:
    """The prior, with its weights from the file that they are inside."""
    return parts.prior(config.prior) if inside is None else parts.prior(config.prior, tensors_of(inside, "prior"))


def _perceptual_of(config: RefineConfig) -> "PerceptualLoss | None":
    """What compares features of VGG-19, where the loss asks for it."""
    from restorekit.refine.perceptual import load_perceptual

    if not config.perceptual_weight:
        return None
    return load_perceptual(config.loss_features, normalised=config.perceptual_normalised, reduction=config.reduction)


def _embedded(config: RefineConfig, prior: FeaturePrior | None) -> nn.Module | None:
    """The network of a prior that is to travel in the weight file."""
    if not config.embed_prior or prior is None:
        return None
    network = getattr(prior, "network", None)
    if not isinstance(network, nn.Module):
        raise RecipeError(f"config.embed_prior: expected false, since {prior.name} has no weights to embed, got true")
    return network


def _builder(config: RefineConfig, base: Restorer) -> Callable[[], RefinementModule | FeatureRefinement]:
    """What makes a fresh module: one for results, or for features of the base as wide as they are.

    Raises:
        ModelError: features are to be refined, and the base is no network that has them.
    """
    if config.features is None:
        return partial(RefinementModule, config.module)
    if not isinstance(base, NetworkRestorer) or isinstance(base, SurveyedNetworkRestorer) or not _network_name(base):
        raise ModelError(
            f"config.features: expected none, since only networks of restorekit.core that need no look at the whole "
            f"photo show their features, and {base.name} is none, got {config.features!r}"
        )
    return partial(FeatureRefinement, config.module, planes_of(base.config, config.features))


def _network_name(base: NetworkRestorer) -> str | None:
    """The name by which the core knows the network; None for those of methods."""
    return next((name for name, kind in NETWORKS.items() if kind is type(base.config)), None)


def _loaded(build: Callable[[], nn.Module], path: Path | None) -> nn.Module:
    """The module of a file; without one, the same fresh weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return module_of(build, path)
