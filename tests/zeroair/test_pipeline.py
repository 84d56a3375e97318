"""The pipeline keeps diffusers' conventions: components, folders, generators, callbacks, progress, output types."""

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor

from restorekit.errors import ImageError, UsageError
from restorekit.priors.gaussian_diffusion_prior import LINEAR_SCHEDULE
from restorekit.priors.pixel_diffusion import DiffusersPrior
from restorekit.zeroair import ZeroAIRPipeline
from restorekit.zeroair.restorer import ZeroAIRRestorer
from restorekit.zeroair.settings import ZeroAIRSettings

STEPS = {"num_inference_steps": 2}
POOL: dict[str, Any] = {"pool": {"count": 2, "steps": 3, "levels": 2}}


def unet(*, out_channels: int = 3) -> Any:
    from diffusers import UNet2DModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet2DModel(
            sample_size=16,
            out_channels=out_channels,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            norm_num_groups=4,
            attention_head_dim=8,
        )


def pipeline(**options: Any) -> ZeroAIRPipeline:
    from diffusers import DDPMScheduler

    pipe = ZeroAIRPipeline(unet(), DDPMScheduler(**LINEAR_SCHEDULE), **options)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 1) -> Tensor:
    return torch.rand(count, 3, 16, 20, generator=seeded(9))


def call(pipe: ZeroAIRPipeline, image: Any, **options: Any) -> Any:
    return pipe(image, **{"generator": seeded(), "output_type": "pt", "settings": POOL, **STEPS, **options})


def test_pipeline_is_the_restorer() -> None:
    pipe = pipeline()
    settings = ZeroAIRSettings(preset="proximal").changed(sampling={"steps": 2}, **POOL)
    restorer = ZeroAIRRestorer("zeroair", settings, prior=DiffusersPrior(pipe.unet, LINEAR_SCHEDULE))
    expected = restorer.restore(images(), generator=seeded())
    assert torch.equal(call(pipe, images(), preset="proximal").images, expected)


def test_pool_serves_every_call_with_the_same_settings() -> None:
    pipe, square = pipeline(), images()[..., :16]  # one window
    seen: list[int] = []
    pipe.unet.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    first, again = (call(pipe, square).images for _ in range(2))
    assert seen == [2, 2, 2, 1, 1, 1, 1]  # the pool, then two calls
    assert torch.equal(again, first)
    call(pipe, square, settings={"pool": {"count": 3, "steps": 1}})
    assert seen[-3:] == [3, 1, 1]


def test_saved_pipeline_gives_the_same_bits(tmp_path: Path) -> None:
    pipe = pipeline(preset="proximal")
    pipe.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model_index.json", "unet", "scheduler"}
    again = ZeroAIRPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert again.config.preset == "proximal"
    assert torch.equal(call(again, images()).images, call(pipe, images()).images)


def test_folder_of_another_pipeline_loads(tmp_path: Path) -> None:
    from diffusers import DDPMPipeline

    pipe = pipeline()
    DDPMPipeline(pipe.unet, pipe.scheduler).save_pretrained(tmp_path)
    again = ZeroAIRPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert torch.equal(call(again, images()).images, call(pipe, images()).images)


def test_image_kinds_agree_and_come_back_as_asked() -> None:
    pipe = pipeline()
    pixels = np.random.default_rng(0).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    floats = pixels.astype(np.float32) / 255
    tensor = torch.from_numpy(floats).permute(2, 0, 1)[None]
    expected = call(pipe, tensor).images
    picture = PIL.Image.fromarray(pixels)
    for given in (picture, [picture], pixels, floats, floats[None]):
        torch.testing.assert_close(call(pipe, given).images, expected, atol=1e-5, rtol=0)
    array = call(pipe, tensor, output_type="np").images
    np.testing.assert_array_equal(array, expected.permute(0, 2, 3, 1))
    (restored,) = call(pipe, tensor, output_type="pil").images
    assert restored.size == (20, 16)
    np.testing.assert_allclose(np.asarray(restored), array[0].clip(0, 1) * 255, atol=0.5 + 1e-3)


def test_generators_one_for_all_or_one_for_each() -> None:
    pipe, both = pipeline(), images(2)
    shared = call(pipe, both).images
    assert torch.equal(call(pipe, both[1:]).images, shared[1:])
    each = call(pipe, both, generator=[seeded(1), seeded(2)]).images
    assert torch.equal(call(pipe, both[1:], generator=seeded(2)).images, each[1:])
    with pytest.raises(UsageError, match="generator: expected one for all images, or 2, got 3"):
        call(pipe, both, generator=[seeded()] * 3)


def test_callback_sees_every_step_and_may_replace_the_latents() -> None:
    pipe = pipeline()
    seen: list[tuple[int, int, set[str]]] = []

    def watch(given: ZeroAIRPipeline, step: int, timestep: int, tensors: dict[str, Any]) -> dict[str, Any]:
        assert given is pipe
        seen.append((step, timestep, set(tensors)))
        return tensors

    plain = call(pipe, images()).images
    names = ("latents", "estimate", "guidance")
    watched = call(
        pipe,
        images(),
        callback_on_step_end=watch,
        callback_on_step_end_tensor_inputs=names,
    ).images
    assert [(step, given) for step, _, given in seen] == [(0, set(names)), (1, set(names))]
    assert seen[0][1] == 999 > seen[1][1]
    assert torch.equal(watched, plain)
    black = call(pipe, images(), callback_on_step_end=lambda *given: {"latents": -torch.ones_like(given[3]["latents"])})
    assert not black.images.any()


def test_several_samples_come_with_their_deviation() -> None:
    pipe = pipeline()
    one, several = call(pipe, images()), call(pipe, images(), num_samples=2)
    assert one.deviations is None
    assert several.deviations.shape == several.images.shape
    assert float(several.deviations.mean()) > 0
    pictures, deviations = call(pipe, images(), num_samples=2, return_dict=False)
    assert torch.equal(pictures, several.images)
    assert torch.equal(deviations, several.deviations)


def test_settings_of_a_call_reach_every_table() -> None:
    pipe = pipeline()
    changed = call(pipe, images(), settings={"sampling": {"proximal": {"sigma": 0.2}}, **POOL}).images
    assert not torch.equal(changed, call(pipe, images()).images)
    with pytest.raises(UsageError, match="windows"):
        call(pipe, images(), settings={"windows": 3})


def test_progress_bar_counts_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []

    class Bar:
        def __init__(self, total: int) -> None:
            self.total = total

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None:
            counted.append(self.total)

        def update(self) -> None:
            counted.append(1)

    pipe = pipeline()
    monkeypatch.setattr(pipe, "progress_bar", lambda total: Bar(total))
    call(pipe, images(2), num_samples=2)
    assert counted == [1] * 8 + [8]


def test_network_in_half_precision_takes_images_in_float32() -> None:
    pipe = pipeline().to(torch.bfloat16)
    restored = call(pipe, images()).images
    assert restored.dtype == torch.float32
    assert bool(torch.isfinite(restored).all())


def test_what_cannot_be_is_refused() -> None:
    pipe = pipeline()
    with pytest.raises(UsageError, match="output_type: expected of pil, np, pt, got latent"):
        call(pipe, images(), output_type="latent")
    with pytest.raises(UsageError, match="tensor inputs: expected of latents, estimate, guidance, got noise"):
        call(pipe, images(), callback_on_step_end_tensor_inputs=("noise",))
    with pytest.raises(UsageError, match=r"expected one of reference-dehaze, .* did you mean blind\?"):
        pipeline(preset="blnd")
    with pytest.raises(ImageError, match=r"image: expected \(\[batch,\] height, width, 3\), got \(16, 20\)"):
        call(pipe, np.zeros((16, 20)))
    with pytest.raises(UsageError, match="output_type np: expected images of one size, got 2 sizes"):
        call(pipe, [PIL.Image.new("RGB", (16, size)) for size in (16, 20)], output_type="np")
