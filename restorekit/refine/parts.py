"""What a refinement is put together from, by name: base restorers and priors.

This room knows the networks of the core and the priors beside it, and nothing of the zoo above. Whoever knows more
names hands over ``Parts``: ``METHOD.given(parts)``.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor

from restorekit.core.networks.catalogue import NETWORKS
from restorekit.core.prior import FeaturePrior
from restorekit.core.restorer import Restorer
from restorekit.errors import ModelError, did_you_mean

__all__ = ["LocalParts", "Parts", "TensorSource", "Tensors"]

Tensors = Mapping[str, Tensor]

TensorSource = Callable[[], Tensors]
"""Reads tensors when called; can be pickled, so that what is made of it can travel without its weights."""


@runtime_checkable
class Parts(Protocol):
    """The names that can be used as base and as prior."""

    def restorer(self, name: str) -> Restorer:
        """A restorer by its name.

        Raises:
            ModelError: no model of that name; the message lists those there are.
        """
        ...

    def prior(self, name: str, tensors: TensorSource | None = None) -> FeaturePrior:
        """A prior by its name.

        Args:
            name: as given to ``--prior``.
            tensors: weights that came inside a refinement's weight file, under the names that ``network.state_dict()``
                of the same prior gives; None: wherever the prior's weights usually are.

        Raises:
            SpecError: no prior of that name; the message lists those there are.
        """
        ...


class LocalParts:
    """What can be named without a zoo: every prior of ``restorekit.priors``, and no base."""

    def restorer(self, name: str) -> Restorer:
        """Always refuses.

        Raises:
            ModelError: always; the message lists the networks that a configuration can describe instead.
        """
        raise ModelError(
            f"refine: base: expected a network in base_network, one of {', '.join(NETWORKS)}, got the model {name!r}, "
            f"which only the zoo knows{did_you_mean(name, NETWORKS)}; use restorekit.load, or hand a restorer to "
            "restorekit.refine.refined"
        )

    def prior(self, name: str, tensors: TensorSource | None = None) -> FeaturePrior:
        """A prior of ``restorekit.priors``.

        Raises:
            ModelError: weights inside a weight file, which only those can use who know the network.
            SpecError: no prior of that name; the message lists those there are.
        """
        if tensors is not None:
            raise ModelError(
                f"refine: prior: expected a prior that lies outside the weight file, got {name!r} inside, which only "
                "the zoo knows; use restorekit.load, or hand a prior to restorekit.refine.refined"
            )
        from restorekit.priors.catalogue import load_prior

        return load_prior(name)
