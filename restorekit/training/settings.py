"""What a training run may change about the loop: the ``[training]`` table of a recipe. No torch is imported here."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["TrainingSettings"]

Scale = Annotated[float, Field(gt=0, le=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]


class TrainingSettings(BaseModel):
    """The loop's settings; a method's own ones (loss, network) are in its config."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=10_000, ge=1, description="updates of the weights in the whole run")
    batch_size: int = Field(default=32, ge=1, description="crops per step and process")
    crop_px: int = Field(default=64, ge=8, description="side of the square crops, in px")
    scales: tuple[Scale, ...] = Field(
        default=(1.0,), min_length=1, description="photos are also cropped downscaled by these factors, equally often"
    )
    gray: bool = Field(
        default=False, description="photos become gray, with three equal planes, before they are degraded"
    )
    clean_share: float = Field(default=0.0, ge=0, le=1, description="share of crops that stay clean, 0 to 1")

    view_px: int = Field(
        default=0,
        ge=0,
        le=256,
        description="side of a square thumbnail of the whole photo, degraded like the crop, in px; 0: none",
    )
    view_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="least share of a photo's sides that the thumbnail shows; 1: all of it",
    )

    learning_rate: float = Field(default=1e-3, gt=0, description="peak, reached at the end of the warm-up")
    final_learning_rate: float = Field(default=1e-6, ge=0, description="at the last step, reached along a cosine")
    warmup_steps: int = Field(default=100, ge=0, description="steps of linear warm-up, at most half of all steps")
    rewarmup_steps: int = Field(
        default=100, ge=0, description="steps of linear warm-up after a compact resume point, which has no moments"
    )
    betas: tuple[Beta, Beta] = Field(default=(0.9, 0.999), description="of AdamW (Loshchilov and Hutter 2019)")
    weight_decay: float = Field(default=0.0, ge=0, description="of AdamW, decoupled; acts on every trained parameter")
    clip_norm: float = Field(default=1.0, gt=0, description="gradients are scaled down to this Euclidean norm")
    ema_decay: float = Field(
        default=0.999, ge=0, lt=1, description="of the averaged weights; after n steps at most (1 + n) / (10 + n)"
    )

    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="of the forward pass; auto is bfloat16 autocast on GPUs that have it, else float32"
    )
    compile: bool = Field(default=False, description="torch.compile every module; needs a C++ compiler on a CPU")
    channels_last: bool = Field(default=True, description="memory layout that convolutions prefer")
    workers: int | None = Field(
        default=None,
        ge=0,
        description="processes that prepare batches; 0: the loop itself, which is fastest on a CPU; "
        "left out: 0 on a CPU, up to 8 beside a GPU",
    )
    degrade_in: Literal["auto", "loop", "workers"] = Field(
        default="auto",
        description="where crops are degraded; auto: on the device if it is a GPU, else where they are cut",
    )

    checkpoint_every_steps: int = Field(default=0, ge=0, description="0: by time alone")
    checkpoint_minutes: float = Field(default=5.0, gt=0, description="a checkpoint at least this often, in minutes")
    log_every: int = Field(default=10, ge=1, description="steps between rows of the log")
    validate_every: int = Field(default=1000, ge=0, description="steps between validations; 0: none")
    validation_images: int = Field(default=8, ge=1, description="photos to validate on, evenly spaced in the folder")
    validation: dict[str, str] = Field(
        default_factory=dict, description="name to degradation spec; empty: the training degradation alone"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "TrainingSettings":
        if self.final_learning_rate > self.learning_rate:
            raise ValueError(
                f"final_learning_rate: expected at most learning_rate {self.learning_rate:g}, "
                f"got {self.final_learning_rate:g}"
            )
        return self
