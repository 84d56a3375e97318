"""What a refinement's weight file holds: the module, and beside it whatever the file needs to be enough by itself."""

from torch import nn

from restorekit.refine.features import FeatureRefinement
from restorekit.refine.module import RefinementModule
from restorekit.refine.student import Student

__all__ = ["RefinedNetwork"]


class RefinedNetwork(nn.Module):
    """A refinement module with its base network, its student and its prior, as far as they travel together.

    It is never called itself: a task calls its parts. What does not learn has no gradients and stays in evaluation
    mode whatever ``train()`` is told.

    Args:
        module: R.
        base: F, a network from images to images; None: it is none of ours, or lies elsewhere.
        student: what takes the prior's place.
        prior: the network of a prior that is embedded.
        learning: names of the parts that learn.
    """

    def __init__(
        self,
        module: RefinementModule | FeatureRefinement,
        *,
        base: nn.Module | None = None,
        student: Student | None = None,
        prior: nn.Module | None = None,
        learning: frozenset[str] = frozenset({"module", "student"}),
    ) -> None:
        super().__init__()
        self.module = module
        self.base = base
        self.student = student
        self.prior = prior
        self.learning = learning
        for part in self._frozen():
            part.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> "RefinedNetwork":
        """The mode of every part that learns."""
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def _frozen(self) -> list[nn.Module]:
        return [part for name, part in self.named_children() if name not in self.learning]
