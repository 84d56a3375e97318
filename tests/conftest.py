"""Shape checks on: every jaxtyping annotation in restorekit is verified while the tests run."""

from jaxtyping import install_import_hook

install_import_hook("restorekit", "beartype.beartype")
