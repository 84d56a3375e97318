"""Priors by name: every text that can be read, every text that cannot, and what is said without a network."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from restorekit.core.prior import FeaturePrior
from restorekit.errors import DependencyError, SpecError
from restorekit.priors.catalogue import SOURCES, describe_priors, load_prior
from restorekit.priors.frame import SizeOptions
from restorekit.priors.image_statistics import StatisticsPrior
from restorekit.priors.openclip import load_open_clip
from restorekit.priors.stable_diffusion import StableDiffusionOptions, load_stable_diffusion
from restorekit.priors.timm_models import load_timm
from restorekit.priors.transformers_clip import load_clip

RESIZE, NATIVE = SizeOptions(), SizeOptions(input="native")


@pytest.mark.parametrize(
    ("text", "load", "arguments", "options"),
    [
        ("open_clip", load_open_clip, ("ViT-B-32", "openai"), RESIZE),
        ("open_clip:ViT-L-14", load_open_clip, ("ViT-L-14", "openai"), RESIZE),
        (
            "open_clip:ViT-B-32:laion2b_s34b_b79k:input=native",
            load_open_clip,
            ("ViT-B-32", "laion2b_s34b_b79k"),
            NATIVE,
        ),
        ("open_clip:hf-hub:some/where", load_open_clip, ("hf-hub", "some/where"), RESIZE),
        ("open_clip:input=native", load_open_clip, ("ViT-B-32", "openai"), NATIVE),
        ("clip", load_clip, ("openai/clip-vit-base-patch32",), RESIZE),
        ("clip:C:\\weights\\clip", load_clip, ("C:\\weights\\clip",), RESIZE),
        ("clip:/data/a=b", load_clip, ("/data/a=b",), RESIZE),
        ("timm", load_timm, ("mobilenetv2_100.ra_in1k",), RESIZE),
        ("timm:resnet50", load_timm, ("resnet50",), RESIZE),
        ("timm:resnet50:/x/y.pth:input=native", load_timm, ("resnet50", "/x/y.pth"), NATIVE),
        (
            "sd:some/where:timestep=1,layer=up_2",
            load_stable_diffusion,
            ("some/where",),
            StableDiffusionOptions(timestep=1, layer="up_2"),
        ),
    ],
)
def test_text_names_loader_weights_and_options(text: str, load: Any, arguments: tuple[str, ...], options: Any) -> None:
    prior: Any = load_prior(text)
    assert prior.name == text
    assert (prior.load.func, prior.load.args, prior.load.keywords) == (load, arguments, {"options": options})


def test_statistics_needs_nothing() -> None:
    assert isinstance(load_prior("statistics"), StatisticsPrior)


def test_unknown_name_lists_the_valid_ones() -> None:
    expected = ", ".join(SOURCES)
    with pytest.raises(SpecError, match=rf"prior: expected one of {expected}, got 'open-clip'; did you mean open_clip"):
        load_prior("open-clip:ViT-B-32")


def test_priors_made_elsewhere_are_found_and_listed() -> None:
    made = StatisticsPrior()
    texts: list[str] = []

    def constyle(rest: str) -> FeaturePrior:
        texts.append(rest)
        return made

    assert load_prior("constyle:some:thing", {"constyle": constyle}) is made
    assert texts == ["some:thing"]
    with pytest.raises(SpecError, match=r"timm, constyle, got 'constile'; did you mean constyle"):
        load_prior("constile", {"constyle": constyle})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip:input=nativ", "clip:input=nativ: input: expected 'resize' or 'native', got 'nativ'"),
        ("clip:inpt=native", "inpt: unknown key; expected one of input; did you mean input?"),
        ("clip:input=native,input=resize", "expected key=value once for each key, got 'input=resize'"),
        ("clip:input=native,resize", "expected key=value once for each key, got 'resize'"),
        ("sd:x/y:timestep=-1,layer=top", "timestep: expected a whole number at least 0 and at most 999, got '-1'"),
        ("sd:x/y:timestep=-1,layer=top", "layer: expected string should match pattern"),
        ("timm::x", "timm::x: expected timm[:MODEL[:FILE]], got an empty part"),
        ("statistics:all", "statistics:all: expected statistics and nothing more, got 'all'; remove it"),
    ],
)
def test_unreadable_text_says_why(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        load_prior(text)


@pytest.mark.parametrize(
    ("text", "repository", "form"),
    [
        ("open_clip", "timm/vit_base_patch32_clip_224.openai", "open_clip:local-dir:FOLDER"),
        ("open_clip:hf-hub:nobody/nothing", "nobody/nothing", "open_clip:local-dir:FOLDER"),
        ("clip", "openai/clip-vit-base-patch32", "clip:FOLDER"),
        ("blip", "Salesforce/blip-image-captioning-base", "blip:FOLDER"),
        ("blip2", "Salesforce/blip2-itm-vit-g", "blip2:FOLDER"),
        ("sd", "stable-diffusion-v1-5/stable-diffusion-v1-5", "sd:FOLDER"),
        ("timm:test_resnet.r160_in1k", "timm/test_resnet.r160_in1k", "timm:local-dir:FOLDER"),
        ("timm:hf-hub:nobody/nothing", "nobody/nothing", "timm:local-dir:FOLDER"),
    ],
)
def test_without_network_the_message_says_what_to_fetch_and_what_works(
    text: str, repository: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a test must not use the network"))
    message = (
        ": expected pretrained weights in the local cache or on the hub, got neither; with a network, run: "
        f"hf download {repository} --local-dir FOLDER, and pass {form}; "
        "or choose constyle or statistics, which need no download"
    )
    with pytest.raises(DependencyError, match=re.escape(message)):
        load_prior(text).features(torch.zeros(1, 3, 32, 32))


def test_description_covers_every_source_and_option() -> None:
    rows = {row.name: row for row in describe_priors()}
    assert list(rows) == list(SOURCES)
    assert rows["open_clip"].default == "open_clip:ViT-B-32:openai"
    assert (
        rows["sd"].options["timestep"].startswith("a whole number at least 0 and at most 999; default 100; How noisy")
    )
    for row in rows.values():
        prior: Any = load_prior(row.default)
        assert prior.name == row.default
        assert row.form.startswith(row.name)
