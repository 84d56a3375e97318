"""Refinements on the Hugging Face hub by its own verbs: ``save_pretrained``, ``from_pretrained``, ``push_to_hub``.

A repository or folder holds ``model.safetensors``, the weight file as training wrote it, ``config.json``, what it says
of itself, and a card. The weight file alone is enough: ``restorekit restore --model file:model.safetensors``.
"""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import ModelCard, ModelHubMixin, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from restorekit.core.atomic import replacing, write_bytes
from restorekit.core.weights import load_metadata
from restorekit.errors import DependencyError, ModelError
from restorekit.refine.method import METHOD

if TYPE_CHECKING:
    from restorekit.core.restorer import Restorer
    from restorekit.refine.parts import Parts
    from restorekit.refine.settings import RefineConfig

__all__ = ["PretrainedRefinement"]

WEIGHTS = "model.safetensors"

CARD = """---
{{ card_data }}
---

# A refinement of {{ base }}

The result of {{ base }} is refined by a small module (PTG-RM, Xu et al. 2024, arXiv:2403.06793), guided by {{ prior }}.

```python
from restorekit.refine import PretrainedRefinement

restorer = PretrainedRefinement.from_pretrained("{{ repo_id | default("REPOSITORY OR FOLDER", true) }}").restorer()
```

On the command line: `restorekit restore PHOTOS -o OUT --model file:model.safetensors`
"""


class PretrainedRefinement(
    ModelHubMixin,
    library_name="restorekit",
    pipeline_tag="image-to-image",
    tags=["image-restoration", "ptg-rm", "arxiv:2403.06793"],
    model_card_template=CARD,
):
    """The weight file of a refinement, with the hub's three verbs.

    ``from_pretrained(name_or_folder, *, revision, token, cache_dir, local_files_only, force_download)``,
    ``save_pretrained(folder)`` and ``push_to_hub(repo_id, *, private, token, ...)`` are those of
    ``huggingface_hub.ModelHubMixin``.

    Args:
        path: as written by ``restorekit train``.

    Raises:
        ModelError: the file is absent, damaged, or of another method.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.metadata = load_metadata(self.path)
        if self.metadata.get("method") != METHOD.name or "method_config" not in self.metadata:
            method = self.metadata.get("method", "no method")
            raise ModelError(f"{self.path}: expected the weights of a refinement, got those of {method}")

    @property
    def config(self) -> "RefineConfig":
        """What the file says of itself."""
        from restorekit.refine.settings import RefineConfig

        return RefineConfig.model_validate_json(self.metadata["method_config"])

    def restorer(self, parts: "Parts | None" = None) -> "Restorer":
        """The restorer; its weights load on first use.

        Args:
            parts: knows the names of bases and priors that are not in the file; None: see ``parts.LocalParts``.

        Raises:
            ModelError, SpecError: a base or a prior whose name is not known.
        """
        method = METHOD if parts is None else METHOD.given(parts)
        return method.restorer(self.config.model_copy(update={"weights": str(self.path)}))

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> "PretrainedRefinement":
        """From the hub or a folder; options as for ``ModelHubMixin.from_pretrained``.

        Raises:
            DependencyError: the hub cannot be reached, or has no such repository.
            ModelError: what was found is no refinement.
        """
        try:
            found: PretrainedRefinement = super().from_pretrained(pretrained_model_name_or_path, **options)
        except (OSError, HfHubHTTPError, HFValidationError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise DependencyError(
                f"{pretrained_model_name_or_path}: expected a folder or a repository on the hub with {WEIGHTS}, got "
                f"{reason}; check the name, or fetch it with a network: hf download NAME --local-dir FOLDER"
            ) from error
        return found

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **_: Any,
    ) -> "PretrainedRefinement":
        if Path(model_id).is_dir():
            return cls(Path(model_id) / WEIGHTS)
        path = hf_hub_download(
            model_id,
            WEIGHTS,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
        )
        return cls(path)

    def _save_pretrained(self, save_directory: Path) -> None:
        with replacing(save_directory / WEIGHTS) as beside:
            shutil.copyfile(self.path, beside)
        text = json.dumps(json.loads(self.metadata["method_config"]), indent=2, sort_keys=True)
        write_bytes(save_directory / "config.json", text.encode())

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """A card that says what is refined, guided by what, under which licence."""
        config = self.config
        named = {"base": config.base_network or config.base, "prior": "a student of " * bool(config.student)}
        named["prior"] += config.prior if config.module.prior_use != "none" else "no prior"
        card = super().generate_model_card(*args, **named, **kwargs)
        if licence := self.metadata.get("licence"):
            card.data["license"] = licence.lower()
        return card
