"""Shape checks on: every jaxtyping annotation in restorekit is verified while the tests run."""

import torch
from jaxtyping import install_import_hook

install_import_hook("restorekit", "beartype.beartype")

# Small tensors on a shared machine: a second thread costs more in waiting than it brings in work.
torch.set_num_threads(1)
