"""The hub's verbs without the hub: folders there and back, what would be uploaded, and what is said when it is away."""

import json

import huggingface_hub.hub_mixin
import pytest
import torch
from huggingface_hub import ModelCard
from huggingface_hub.errors import LocalEntryNotFoundError

from restorekit.core.weights import load_metadata, save_weights
from restorekit.errors import DependencyError, ModelError
from restorekit.refine import METHOD, PretrainedRefinement, hub
from restorekit.refine.settings import RefineConfig

CONFIG = RefineConfig(
    base_network="dense_unet",
    base_options={"widths": [4, 8], "blocks": [1, 1]},
    module={"prior_dim": 31, "width": 4},
    prior="statistics",
)


@pytest.fixture
def weights(tmp_path):
    """A weight file as training writes it."""
    torch.manual_seed(0)
    network = METHOD.task(CONFIG, None).network
    torch.nn.init.normal_(network.module.decoder.tail.weight, std=0.1)
    metadata = {"method": "refine", **METHOD.metadata(CONFIG), "licence": "Apache-2.0"}
    save_weights(tmp_path / "w.safetensors", network.state_dict(), metadata)
    return tmp_path / "w.safetensors"


def restored_by(model):
    return model.restorer().restore(torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0)))


def test_saved_folder_gives_the_same_model_back(weights, tmp_path) -> None:
    model = PretrainedRefinement(weights)
    model.save_pretrained(tmp_path / "folder")
    again = PretrainedRefinement.from_pretrained(tmp_path / "folder")
    assert again.config == model.config
    assert torch.equal(restored_by(again), restored_by(model))
    again.save_pretrained(tmp_path / "second")
    assert torch.equal(restored_by(PretrainedRefinement.from_pretrained(str(tmp_path / "second"))), restored_by(model))


def test_folder_holds_what_the_hub_expects(weights, tmp_path) -> None:
    PretrainedRefinement(weights).save_pretrained(tmp_path / "folder")
    assert {path.name for path in (tmp_path / "folder").iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert load_metadata(tmp_path / "folder" / "model.safetensors") == load_metadata(weights)
    config = json.loads((tmp_path / "folder" / "config.json").read_text())
    assert config == CONFIG.model_dump(mode="json") | {"base_options": config["base_options"]}
    card = ModelCard.load(tmp_path / "folder" / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "restorekit"
    assert "The result of dense_unet is refined" in card.text
    assert "guided by statistics" in card.text


def test_push_uploads_that_folder(weights, monkeypatch) -> None:
    calls = []

    class Api:
        def __init__(self, token=None):
            self.token = token

        def create_repo(self, repo_id, **options):
            calls.append((repo_id, options["private"], self.token))
            return type("Url", (), {"repo_id": repo_id})

        def upload_folder(self, *, folder_path, **options):
            calls.append((sorted(path.name for path in folder_path.iterdir()), options["repo_id"]))
            return "commit"

    monkeypatch.setattr(huggingface_hub.hub_mixin, "HfApi", Api)
    assert PretrainedRefinement(weights).push_to_hub("user/refined", private=True, token="t") == "commit"
    assert calls == [
        ("user/refined", True, "t"),
        (["README.md", "config.json", "model.safetensors"], "user/refined"),
    ]


def test_repository_is_downloaded_with_the_given_options(weights, tmp_path, monkeypatch) -> None:
    PretrainedRefinement(weights).save_pretrained(tmp_path / "folder")
    asked = []

    def download(repo_id, filename, **options):
        asked.append((repo_id, filename, options["revision"], options["local_files_only"]))
        return str(tmp_path / "folder" / filename)

    monkeypatch.setattr(hub, "hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub.hub_mixin, "hf_hub_download", lambda **options: download(**options))
    model = PretrainedRefinement.from_pretrained("user/refined", revision="v1", local_files_only=True)
    assert torch.equal(restored_by(model), restored_by(PretrainedRefinement(weights)))
    assert asked == [
        ("user/refined", "config.json", "v1", True),
        ("user/refined", "model.safetensors", "v1", True),
    ]


def test_hub_that_is_away_is_told(monkeypatch) -> None:
    def download(**options):
        raise LocalEntryNotFoundError("no connection\nand more")

    monkeypatch.setattr(huggingface_hub.hub_mixin, "hf_hub_download", download)
    with pytest.raises(
        DependencyError, match=r"user/refined: expected a folder or a repository .* got no connection; che"
    ):
        PretrainedRefinement.from_pretrained("user/refined")


def test_path_that_is_not_there_is_told(tmp_path) -> None:
    with pytest.raises(DependencyError, match="nothing/here: expected a folder or a repository on the hub"):
        PretrainedRefinement.from_pretrained(tmp_path / "nothing" / "here")


def test_folder_without_weights_is_told(tmp_path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"model\.safetensors: expected a weight file here, got nothing"):
        PretrainedRefinement.from_pretrained(tmp_path)


def test_weights_of_another_method_are_refused(tmp_path) -> None:
    save_weights(tmp_path / "w.safetensors", {"x": torch.zeros(1)}, {"method": "constyle", "method_config": "{}"})
    with pytest.raises(ModelError, match="expected the weights of a refinement, got those of constyle"):
        PretrainedRefinement(tmp_path / "w.safetensors")
