"""Everything a refinement's recipe may say: what restores first, the module, its prior, what is trained and how."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from restorekit.errors import ModelError
from restorekit.refine.config import RefinementConfig
from restorekit.refine.student import StudentConfig

__all__ = ["CONTROLS", "Control", "RefineConfig", "Swap"]

Control = Literal["true", "zero", "shuffled", "random"]

CONTROLS: dict[Control, str] = {
    "true": "the prior itself",
    "zero": "zeros; the module's mappings have no bias, so nothing is left of them",
    "shuffled": "that of another image of the batch",
    "random": "a direction drawn anew for each image",
}
"""What a module can be trained with in place of the prior, to see whether the prior is what helps."""


Swap = Literal["zero", "shuffled", "mean", "random"]
"""What a trained module can be given in place of its prior, to see what the prior is worth to it."""


class RefineConfig(BaseModel):
    """The ``[config]`` table of a refinement's recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str = Field(
        default="base", description="model that restores first, as for --model; not asked for beside base_network"
    )
    base_network: str | None = Field(
        default=None, description="instead of base: a network of restorekit.core.networks, fresh or from weights"
    )
    base_options: dict[str, Any] = Field(default_factory=dict, description="options of base_network")
    embed_base: bool = Field(
        default=True,
        description="a base that is a network of restorekit.core becomes part of the weight file; false: a frozen base "
        "stays a name, and the file small",
    )
    features: str | None = Field(
        default=None,
        description="a part of the base network whose features are refined instead of its result, such as latent of "
        "restormer or middle of nafnet: the paper's -f",
    )
    module: RefinementConfig = Field(default=RefinementConfig(), description="the refinement module")
    prior: str = Field(
        default="clip", description="the frozen network that guides the module, as for --prior; see module.prior_dim"
    )
    prior_pool: int = Field(
        default=0,
        ge=0,
        description="degraded crops that are drawn once and kept with their prior, and with what a frozen base makes "
        "of them; 20000 are plenty; 0: always new crops",
    )
    embed_prior: bool = Field(
        default=False, description="the prior's own weights become part of the weight file; for small ones"
    )
    control: Control = Field(default="true", description="what is given in place of the prior: true, or a control")
    swap: Swap | None = Field(
        default=None,
        description="when a trained module restores: what it is given in place of its prior, zero, shuffled (what the "
        "prior says of another photo), mean (of many) or random; nothing of its training changes",
    )
    student: StudentConfig | None = Field(
        default=None, description="a tiny network that learns to foretell the prior, and takes its place afterwards"
    )
    learn: Literal["all", "student"] = Field(
        default="all", description="student: the module of weights stays as it is, and a student of its prior is added"
    )
    joint: bool = Field(default=False, description="the base learns too; it must be a network of restorekit.core")
    routes: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        default=None,
        description="in joint training of a base of several experts, whose router then stays as it is: the number of "
        "the expert for each alternative of the degradation; clean crops go to expert 0",
    )
    base_loss_weight: float = Field(
        default=1.0, ge=0, description="of the base's own loss in joint training: lambda_1 of eq. 8"
    )
    loss: Literal["charbonnier", "l1", "psnr", "zero_dce", "sci", "ruas", "enlightengan"] = Field(
        default="charbonnier",
        description="of refined and, in joint training, restored pixels; zero_dce, sci or ruas for low light without "
        "clean photos, enlightengan with clean photos of anything else",
    )
    reduction: Literal["mean", "sum"] = Field(
        default="mean",
        description="of charbonnier, l1 and the perceptual term over all values of a batch; sum: released",
    )
    perceptual_weight: float = Field(
        default=0.0,
        ge=0,
        description="of a perceptual term beside the loss of pixels: how differently VGG-19 sees result and clean "
        "photo; 0.1 in the released training for low light; 0: none",
    )
    perceptual_normalised: bool = Field(
        default=True,
        description="VGG-19 sees photos normalised, as it was trained; false: in [0, 1] as they are, as in the release",
    )
    loss_features: str | None = Field(
        default=None,
        description="weights in torchvision's layout, .pth or .safetensors: of VGG-16 beside loss = enlightengan, of "
        "VGG-19 beside perceptual_weight; None: those in torch hub's folder",
    )
    eps: float = Field(
        default=1e-3,
        gt=0,
        le=1,
        description="of charbonnier and psnr, in units of the range [0, 1]; it stands squared inside the root, so that "
        "the release's 1e-6 there is 1e-3 here",
    )
    balance: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="crops count in inverse proportion to this plus their own RMSE; None: alike",
    )
    weights: str | None = Field(
        default=None, description="a weights.safetensors of an earlier run; None: fresh weights"
    )

    @property
    def listens(self) -> bool:
        """Whether the module is given anything of a pretrained network."""
        return self.module.prior_use != "none" and self.control not in ("zero", "random")

    @property
    def unsupervised(self) -> bool:
        """Whether the loss never looks at clean crops."""
        return self.loss in ("zero_dce", "sci", "ruas")

    @property
    def dual_pixel(self) -> bool:
        """Whether base and module take two views of a scene, left and right, and give one photo."""
        return self.module.degraded_planes == 6

    @model_validator(mode="after")
    def _base_can_be_built(self) -> "RefineConfig":
        if self.base_network is None:
            if self.base_options:
                raise ValueError("base_options: expected none, since no base_network is named")
            return self
        from restorekit.core.networks.catalogue import configure

        try:
            planes = configure(self.base_network, self.base_options).planes
        except ModelError as error:
            raise ValueError(f"base_network: {error}") from None
        wanted = (self.module.degraded_planes, self.module.restored_planes)
        if planes != wanted:
            raise ValueError(
                f"base_network: expected one from {wanted[0]} planes to {wanted[1]}, as the module, got {planes[0]} to "
                f"{planes[1]}"
            )
        return self

    @model_validator(mode="after")
    def _base_can_be_found(self) -> "RefineConfig":
        if not self.embed_base and (self.joint or self.base_network is not None):
            raise ValueError("embed_base: expected true, since the base has weights of its own, got false")
        return self

    @model_validator(mode="after")
    def _features_can_be_refined(self) -> "RefineConfig":
        if self.features is not None and not self.embed_base:
            raise ValueError(
                "features: expected none beside embed_base = false, since they are refined inside the base"
            )
        if self.features is not None and self.module.fusion == "snr":
            raise ValueError("features: expected none beside module.fusion = snr, since that map is one of images")
        return self

    @model_validator(mode="after")
    def _module_takes_photos(self) -> "RefineConfig":
        planes = (self.module.degraded_planes, self.module.restored_planes)
        if planes not in {(3, 3), (1, 1), (6, 3)}:
            raise ValueError(
                "module: expected 3 degraded and 3 restored planes (RGB photos), 1 and 1 (gray ones), or 6 and 3 "
                f"(dual-pixel pairs), got {planes[0]} and {planes[1]}; build RefinementModule directly"
            )
        if planes != (3, 3) and (self.unsupervised or self.loss == "enlightengan"):
            kind = "gray planes" if planes == (1, 1) else "dual-pixel pairs"
            raise ValueError(f"loss: expected one of pixels beside {kind}, got {self.loss}, which judges colours")
        if self.dual_pixel and self.base_network is None:
            raise ValueError(
                "base_network: expected a network from 6 planes to 3 beside module.degraded_planes = 6, since no other "
                f"base takes dual-pixel pairs, got the base {self.base}"
            )
        if self.dual_pixel and self.features is not None:
            raise ValueError(f"features: expected none beside dual-pixel pairs, got {self.features}")
        return self

    @model_validator(mode="after")
    def _loss_has_its_photos(self) -> "RefineConfig":
        changes = {"balance": self.balance, "perceptual_weight": self.perceptual_weight}
        changes |= {"reduction = sum": self.reduction == "sum"}
        beside = next((name for name, value in changes.items() if value), None)
        if (self.unsupervised or self.loss == "enlightengan") and beside:
            raise ValueError(f"loss: expected one that knows clean photos beside {beside}, got {self.loss}")
        if self.loss == "psnr" and self.reduction == "sum":
            raise ValueError("reduction: expected mean beside loss = psnr, which is one value an image, got sum")
        if self.loss_features is not None and self.loss != "enlightengan" and not self.perceptual_weight:
            raise ValueError(f"loss_features: expected none beside loss = {self.loss}, got {self.loss_features}")
        return self

    @model_validator(mode="after")
    def _there_is_something_to_swap(self) -> "RefineConfig":
        if self.swap is not None and not self.listens:
            without = "prior_use = none" if self.module.prior_use == "none" else f"control = {self.control}"
            raise ValueError(f"swap: expected none beside {without}, since no prior is asked, got {self.swap}")
        return self

    @model_validator(mode="after")
    def _student_and_prior_agree(self) -> "RefineConfig":
        if self.learn == "student" and self.student is None:
            raise ValueError("learn: expected all, since no student is described, got student")
        if self.learn == "student" and self.joint:
            raise ValueError("joint: expected false, since only the student learns, got true")
        if self.student is not None and self.module.prior_use not in ("mapped", "concat_1d"):
            raise ValueError(
                "student: expected none, since it foretells one vector, and "
                f"module.prior_use = {self.module.prior_use} takes none"
            )
        if self.embed_prior and (self.student is not None or not self.listens):
            raise ValueError("embed_prior: expected false, since the prior is not asked for when a photo is restored")
        if self.student is not None and self.control != "true":
            raise ValueError(f"student: expected none beside control = {self.control}, which needs no prior")
        return self
