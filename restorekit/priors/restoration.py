"""The bottleneck of a restoration network as a prior ("-r"): any ``nn.Module``, and the name of a part of it."""

import copy
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.core.networks.base import PlainImages
from restorekit.core.networks.restorer import ModuleRestorer
from restorekit.core.restorer import InputSpec
from restorekit.errors import ModelError, did_you_mean
from restorekit.priors.frame import FeatureNetwork, NetworkPrior, fit, run_until

__all__ = ["BOTTLENECKS", "RestorationFeatures", "RestorationPrior"]

BOTTLENECKS = ("middle", "latent", "bottleneck", "mid", "middle_blks", "mid_block")
"""What networks call the part between encoder and decoder."""

PROBE_PX = 64  # side of the image that is shown once to learn the number of channels


class RestorationPrior(NetworkPrior):
    """A restoration network, frozen, as a prior: what one of its parts says of the image.

    Args:
        name: as given to ``--prior``, for example "restoration:base".
        source: a restorer, whose network is loaded on first use; or a module, which is copied, so that the original may
            be trained on. A pickled prior carries a module's weights with it, but not a restorer's.
        layer: name of a submodule that answers (batch, channels, rows, columns), as in ``named_modules()``; None: the
            one that is called like a bottleneck, see ``BOTTLENECKS``.
        multiple_of: heights and widths that the network takes are multiples of this, in px; None: as the restorer
            says, 1 for a module.

    Raises:
        ModelError: no such layer, or none that looks like a bottleneck; on first use where a restorer is given.

    Differs from the paper (PTG-RM, arXiv:2403.06793, "-r"): it does not say which features of the network it uses.
    """

    def __init__(
        self,
        name: str,
        source: nn.Module | ModuleRestorer,
        layer: str | None = None,
        *,
        multiple_of: int | None = None,
    ) -> None:
        if isinstance(source, ModuleRestorer):
            super().__init__(name, partial(_of_restorer, name, source, layer, multiple_of))
        else:
            own = copy.deepcopy(source).cpu()
            super().__init__(name, partial(_of_module, name, own, _find_layer(name, own, layer), multiple_of or 1))


class RestorationFeatures(FeatureNetwork):
    """A network and one of its parts: maps are that part's answer, vectors their mean over the image.

    Args:
        module: frozen here.
        layer: name of the part.
        spec: what sizes the network takes.
        gray: whether it takes one plane; it is shown the mean of the colours.
        where: the prior, for messages.
    """

    def __init__(self, module: nn.Module, layer: str, *, spec: InputSpec, gray: bool, where: str) -> None:
        super().__init__()
        self.module = module.eval().requires_grad_(False)
        self.layer = layer
        self.spec = spec
        self.gray = gray
        self.where = where
        with torch.no_grad():
            self.dim = self.maps(torch.zeros(1, 3, PROBE_PX, PROBE_PX)).shape[1]

    def vectors(self, images: Images) -> Float[Tensor, "batch dim"]:
        """See ``FeatureNetwork``."""
        return self.maps(images).float().mean(dim=(2, 3))

    def maps(self, images: Images) -> Float[Tensor, "batch dim rows columns"]:
        """See ``FeatureNetwork``; images are not clamped, a restorer wants noise as it is."""
        seen = fit(images, self.spec.multiple_of, minimum_px=self.spec.minimum)
        if self.gray:
            seen = seen.mean(dim=1, keepdim=True)
        answer = self._answer(seen)
        if len(answer) == len(images):
            return answer
        return torch.cat([self._answer(image[None]) for image in seen])  # the network takes a batch apart

    def _answer(self, seen: PlainImages) -> Tensor:
        answer = run_until(self.module, self.module.get_submodule(self.layer), seen)
        if isinstance(answer, Tensor) and answer.ndim == 4:
            return answer
        shape = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise ModelError(
            f"{self.where}: layer {self.layer}: expected an answer of shape (batch, channels, rows, columns), got "
            f"{shape}; name another"
        )


def _find_layer(where: str, module: nn.Module, layer: str | None) -> str:
    """The name of a part: as given, or of the one part that is called like a bottleneck.

    Raises:
        ModelError: no such part; none or several that look like a bottleneck.
    """
    names: list[str] = [name for name, _ in module.named_modules() if name]
    if layer is not None:
        if layer in names:
            return layer
        outer = ", ".join(name for name in names if "." not in name)
        hint = did_you_mean(layer, names)
        raise ModelError(f"{where}: layer: expected a part such as {outer}, got {layer!r}{hint}")
    found = [name for name in names if name.rpartition(".")[2] in BOTTLENECKS]
    outermost = [name for name in found if name.count(".") == min(other.count(".") for other in found)]
    if len(outermost) != 1:
        raise ModelError(
            f"{where}: layer: expected one part called {', '.join(BOTTLENECKS)}, got "
            f"{' and '.join(outermost) or 'none'}; name the layer"
        )
    return outermost[0]


def _of_restorer(where: str, restorer: ModuleRestorer, layer: str | None, multiple_of: int | None) -> FeatureNetwork:
    module = restorer.load()
    spec = replace(restorer.spec, multiple_of=multiple_of or restorer.spec.multiple_of)
    gray = restorer.planes[0] == 1
    return RestorationFeatures(module, _find_layer(where, module, layer), spec=spec, gray=gray, where=where)


def _of_module(where: str, module: nn.Module, layer: str, multiple_of: int) -> FeatureNetwork:
    own = copy.deepcopy(module)  # what is placed on a device is not what a pickle carries
    return RestorationFeatures(own, layer, spec=InputSpec(multiple_of=multiple_of), gray=False, where=where)
