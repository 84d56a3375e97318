"""The restorer: any size, independent of its neighbours, honest about what it lacks, and no broken image is written."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from restorekit.batch import BatchOptions, restore_files
from restorekit.core.image.pairs import NamedInput
from restorekit.core.image.tiling import TilingOptions, restore_samples
from restorekit.core.randomness import generator_for
from restorekit.core.restorer import Restorer
from restorekit.errors import DependencyError, ModelError, UsageError
from restorekit.priors.gaussian_diffusion_prior import LINEAR_SCHEDULE, GaussianDiffusionPrior
from restorekit.shipped import shipped_models
from restorekit.zeroair.config import ZeroAIRConfig
from restorekit.zeroair.ensemble import Ensemble
from restorekit.zeroair.guidance import ZeroAIRGuidance
from restorekit.zeroair.presets import PRESETS
from restorekit.zeroair.restorer import RunProgress, ZeroAIRRestorer
from restorekit.zeroair.sampler import restore_image
from restorekit.zeroair.settings import ZeroAIRSettings
from restorekit.zeroair.sources import SHIPPED, load_prior

GUIDED = {"estimate": "guided", "proximal": None}
SMALL = {**GUIDED, "steps": 3, "auxiliary": "image", "fit": {"inner_steps": 1, "crop_px": 16}}


class Windowed(GaussianDiffusionPrior):
    """White images of 16 px, in multiples of 8; sees no other size."""

    size_px = 16
    multiple_of = 8

    def predict(self, noisy: Tensor, timestep: int) -> Tensor:
        assert tuple(noisy.shape[-2:]) == (16, 16)
        return super().predict(noisy, timestep)


def restorer(prior: Any = None, **settings: Any) -> ZeroAIRRestorer:
    sampling = {**SMALL, **settings.pop("sampling", {})}
    chosen = ZeroAIRSettings.model_validate({"sampling": sampling, **settings})
    return ZeroAIRRestorer("zeroair", chosen, prior=prior or Windowed(0.0, 0.3))


def images(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def test_restorer_keeps_the_protocol() -> None:
    assert isinstance(restorer(), Restorer)
    assert restorer().spec.tiling == "whole"


@pytest.mark.parametrize(("height", "width"), [(5, 5), (16, 16), (13, 30), (40, 17)])
def test_any_size_comes_back_in_its_size(height: int, width: int) -> None:
    degraded = images(1, 3, height, width)
    restored = restorer().restore(degraded, generator=seeded())
    assert restored.shape == degraded.shape
    assert bool(torch.isfinite(restored).all())


def test_canvas_is_the_image_reflected_at_the_right_and_bottom() -> None:
    """numpy pads; the run is the sampler's own, on that canvas."""
    degraded = images(1, 3, 13, 20)
    canvas = torch.from_numpy(np.pad(degraded.numpy(), ((0, 0), (0, 0), (0, 3), (0, 4)), mode="reflect"))
    config = ZeroAIRSettings.model_validate({"sampling": SMALL}).sampling
    expected = restore_image(
        GaussianDiffusionPrior(0.0, 0.3),
        canvas,
        config,
        ZeroAIRGuidance(config),
        generator=torch.Generator().manual_seed(6),
    )
    found = restorer().sample(degraded, seed=6).mean
    torch.testing.assert_close(found, expected[..., :13, :20], atol=1e-5, rtol=0)


def test_result_does_not_depend_on_the_batch_the_order_or_the_images_before() -> None:
    degraded = images(3, 3, 16, 16)
    one = restorer()
    together = one.restore(degraded, generator=seeded())
    for index in (2, 0, 1):
        alone = one.restore(degraded[index : index + 1], generator=seeded())
        assert torch.equal(alone, together[index : index + 1])
    assert torch.equal(restorer().restore(degraded[1:2], generator=seeded()), together[1:2])


def test_reference_mode_depends_on_the_images_before_and_on_its_own_seed() -> None:
    settings = {"sampling": {"reset": "reference", "seed": 20}}
    degraded, one = images(2, 3, 16, 16), restorer(**settings)
    first = one.restore(degraded[:1], generator=seeded())
    assert torch.equal(first, restorer(**settings).restore(degraded[:1]))  # whatever generator it is given
    after = one.restore(degraded[1:], generator=seeded())
    assert not torch.equal(after, restorer(**settings).restore(degraded[1:], generator=seeded()))


def test_generator_decides_and_without_one_the_settings_seed() -> None:
    degraded = images(1, 3, 16, 16)
    other = torch.Generator().manual_seed(5)
    assert not torch.equal(
        restorer().restore(degraded, generator=seeded()), restorer().restore(degraded, generator=other)
    )
    assert torch.equal(restorer().restore(degraded), restorer().sample(degraded, seed=0).mean)


def test_pickled_restorer_gives_the_same() -> None:
    degraded, one = images(1, 3, 16, 16), restorer()
    one.on_progress = lambda _: None
    before = one.restore(degraded, generator=seeded())
    assert torch.equal(pickle.loads(pickle.dumps(one)).restore(degraded, generator=seeded()), before)


def test_tiler_hands_over_whole_photos_and_keeps_their_depth() -> None:
    photo = (images(21, 34, 1).numpy() * 65535).astype(np.uint16)
    restored = restore_samples(restorer(), photo, TilingOptions(seed=3))
    assert (restored.shape, restored.dtype) == (photo.shape, photo.dtype)
    as_colour = torch.from_numpy(photo.astype(np.float32) / 65535).permute(2, 0, 1).expand(3, -1, -1)[None]
    direct = restorer().restore(as_colour, generator=generator_for(3, 0, 0))[0].mean(dim=0)
    np.testing.assert_allclose(restored[..., 0] / 65535, direct.clamp(0, 1), atol=1e-5)


def test_progress_tells_every_step_of_every_sample() -> None:
    seen: list[RunProgress] = []
    ensembles: list[Ensemble] = []
    one = restorer(samples=2)
    one.on_progress, one.on_ensemble = seen.append, ensembles.append
    restored = one.restore(images(1, 3, 13, 16))
    assert [(told.sample, told.report.moment.step) for told in seen] == [(s, k) for s in (0, 1) for k in (1, 2, 3)]
    assert [int(told.report.logs["stage"]) for told in seen[:3]] == [1, 2, 3]
    assert seen[0].degraded.shape == (1, 3, 16, 16)
    assert torch.equal(ensembles[0].mean, restored)


def test_changed_restorer_has_the_settings_and_the_place_of_the_first() -> None:
    one = restorer(samples=2).to(torch.device("cpu"), "bfloat16")
    other = one.changed(preset="sample")
    assert (other.settings.samples, other.settings.sampling, other.precision) == (2, PRESETS["sample"], "bfloat16")


# ------------------------------------------------------------------------------------------------------------- variants


def test_pool_is_made_once_and_does_not_depend_on_the_image() -> None:
    one = restorer(sampling={"auxiliary": "pool"}, pool={"count": 2, "steps": 3, "levels": 2})
    degraded = images(2, 3, 40, 16)
    both = one.restore(degraded, generator=seeded())
    assert list(one._loaded.pools) == [(16, 16)]  # of the size that φ is learned on
    again = restorer(sampling={"auxiliary": "pool"}, pool={"count": 2, "steps": 3, "levels": 2})
    assert torch.equal(again.restore(degraded[1:], generator=seeded()), both[1:])


def test_warm_start_begins_from_a_classical_result(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"sampling": {"start_snr": 1.0, "steps": 10}, "start_from": "median"}
    degraded = images(1, 3, 16, 16)
    plain = restorer(sampling=settings["sampling"]).restore(degraded)
    assert not torch.equal(restorer(**settings).restore(degraded), plain)
    from restorekit.core.classical.median import Median

    monkeypatch.setattr(Median, "restore", lambda self, images, generator=None: images)
    assert torch.equal(restorer(**settings).restore(degraded), plain)
    with pytest.raises(ModelError, match=r"classical: expected one of .* got 'mediann'; did you mean median"):
        restorer(**settings | {"start_from": "mediann"})


def test_large_image_is_seen_in_windows_and_learned_on_crops() -> None:
    """Twelve windows of a prior that asserts their size, one φ whose input is never larger than a crop or piece."""
    sizes: list[tuple[int, ...]] = []
    one = restorer()

    def watch(told: RunProgress) -> None:
        if not sizes:
            told.degradation.register_forward_hook(lambda _, inputs, __: sizes.append(tuple(inputs[0].shape[-2:])))
        sizes.append((0, 0))

    one.on_progress = watch
    one.restore(images(1, 3, 40, 50))
    assert {(16, 16), (40, 56)} <= set(sizes)


def test_feature_losses_ask_for_vgg16(tmp_path: Path) -> None:
    needing = {"preset": "reference-dehaze", "vgg16": str(tmp_path / "none.safetensors")}
    with pytest.raises(ModelError, match=r"none.safetensors: expected a weight file here, got nothing"):
        restorer(**needing).restore(images(1, 3, 16, 16))
    save_file({"features.0.weight": torch.zeros(1)}, tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match=r"expected 0.weight of shape \(64, 3, 3, 3\), got \(1,\)"):
        ZeroAIRRestorer("zeroair", ZeroAIRSettings.model_validate(needing), prior=Windowed()).restore(
            images(1, 3, 16, 16)
        )


# ------------------------------------------------------------------------------------------------------------- refusals


def test_missing_and_wrong_diffusion_models_are_named(tmp_path: Path) -> None:
    degraded = images(1, 3, 16, 16)
    wrong = tmp_path / "wrong.safetensors"
    save_file({"weight": torch.zeros(1)}, wrong)
    cases: list[tuple[Mapping[str, Any], type[Exception], str]] = [
        ({"prior": "256x256_diffusion_uncond.pt"}, ModelError, "config.prior: .* got the file 256x.*convert_adm"),
        ({"prior": str(tmp_path)}, DependencyError, "expected a diffusers UNet2DModel with its scheduler, got none"),
        ({"weights": str(wrong)}, ModelError, "wrong.safetensors: expected weights of the network compact_diffusion"),
    ]
    for settings, error, message in cases:
        with pytest.raises(error, match=message):
            ZeroAIRRestorer("zeroair", ZeroAIRSettings.model_validate(settings)).restore(degraded)
    with pytest.raises(UsageError, match="window_px: expected a multiple of 8 for this diffusion model, got 20"):
        restorer(window_px=20).restore(degraded)


def test_the_prior_that_ships_is_taken_where_none_is_named() -> None:
    prior = load_prior(ZeroAIRSettings())
    assert prior.multiple_of <= 16
    record = shipped_models()["zeroair"]
    assert Path(SHIPPED) == record.file().path
    named = load_prior(ZeroAIRSettings(weights=SHIPPED))
    noisy = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(prior.predict(noisy, 500), named.predict(noisy, 500))


class Broken(GaussianDiffusionPrior):
    """NaN from the second step on."""

    def predict(self, noisy: Tensor, timestep: int) -> Tensor:
        return super().predict(noisy, timestep) * (1.0 if timestep == 999 else float("nan"))


def test_diverging_run_writes_no_image_and_says_where(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.zeros((16, 16, 3), dtype=np.uint8)).save(tmp_path / "in.png")
    entries = [NamedInput("in.png", tmp_path / "in.png")]
    out = tmp_path / "out"
    (outcome,) = restore_files(restorer(Broken()), entries, out, BatchOptions(model="zeroair"))
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert "step 2 of 3" in outcome.error
    assert "expected a finite estimate" in outcome.error
    assert not list(out.glob("*.png"))


def test_configuration_of_the_gaussian_schedule_is_that_of_the_paper() -> None:
    """What the presets' borders assume."""
    assert (LINEAR_SCHEDULE["beta_start"], LINEAR_SCHEDULE["beta_end"]) == (1e-4, 0.02)
    assert isinstance(PRESETS["blind"], ZeroAIRConfig)
