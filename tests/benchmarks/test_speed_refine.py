"""The plain graph of suite ``refine`` computes what the module computes: speed is compared of equal work."""

import plain_refinement
import pytest
import torch
from process_memory import process_peaks

from restorekit.refine import RefinementModule


@pytest.mark.parametrize("size", [(32, 48), (4, 8), (20, 12)])
def test_plain_graph_equals_the_module(size: tuple[int, int]) -> None:
    module, given = plain_refinement.make_module(), plain_refinement.inputs(*size)
    assert isinstance(module, RefinementModule)
    assert sum(parameter.numel() for parameter in module.parameters()) == 671_735
    with torch.no_grad():
        plain = plain_refinement.plain_refinement(module.state_dict(), *given)
        torch.testing.assert_close(plain, module(*given), rtol=0, atol=1e-5)
        assert (plain - given[0]).abs().max() > 1e-3


@pytest.mark.slow
def test_memory_is_that_of_the_tensors_of_a_pass() -> None:
    ours, plain = process_peaks("plain_refinement.py", 512, 512)
    # the largest pair that the plain graph holds at once: neighbours and kernels, 144 floats each for 16 px
    assert plain > 2 * 144 * 4 * 512**2 / 16
    assert ours < plain
