"""What a suite's file says."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from restorekit.datasets.known_sets import find_split
from restorekit.errors import UsageError
from restorekit.recipe import find_packaged, parse_document, read_toml

__all__ = ["DataSet", "Suite", "load_suite"]


class DataSet(BaseModel):
    """One column of a suite: a known set, pairs of folders, or clean photos that are degraded here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="as the tables print it")
    dataset: str | None = Field(default=None, description="a set that 'restorekit data list' has, in place of folders")
    split: str | None = Field(default=None, description="train, val, test or all, where the set has several")
    clean: str | None = Field(default=None, description="folder of clean photos, relative to the data folder")
    degraded: str | None = Field(default=None, description="folder of degraded photos of the same names")
    degrade: str | None = Field(default=None, description="degradation spec, for clean photos without degraded ones")
    metrics: list[str] = Field(
        default_factory=list,
        description="metric addresses of this set; none: the suite's, or else those of the papers that use the set",
    )
    label: str | None = Field(
        default=None, description="what the degraded photos are said to be, such as noise:sigma=30: audits whether"
    )

    @property
    def known(self) -> str | None:
        """The known set and its split as ``restorekit.compare`` takes them, or None for folders."""
        return self.dataset if self.split is None else f"{self.dataset}:{self.split}"

    @model_validator(mode="after")
    def _one_source(self) -> "DataSet":
        if self.dataset is None:
            if self.clean is None or self.split is not None:
                raise ValueError(f"{self.name}: expected clean = FOLDER or dataset = NAME; split is for a dataset")
            if (self.degraded is None) == (self.degrade is None):
                raise ValueError(f"{self.name}: expected either degraded = FOLDER or degrade = SPEC")
            return self
        if self.clean or self.degraded:
            raise ValueError(f"{self.name}: expected either dataset = NAME or folders, got both")
        try:
            known, split = find_split(self.known or "")
        except UsageError as error:
            raise ValueError(f"{self.name}: {error}") from None
        if self.degrade is None and not any(part.degraded for part in known.parts if part.split == split):
            raise ValueError(f"{self.name}: expected degrade = SPEC, {known.name} has clean pictures only")
        return self


class Suite(BaseModel):
    """A benchmark: data sets and protocol."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(description="heading of the summary")
    seed: int = Field(default=0, ge=0, description="of the degradations drawn here")
    metrics: list[str] = Field(
        default_factory=list,
        description="metric addresses of sets that have none of their own; none: those of the papers that use a known "
        "set, PSNR and SSIM of others",
    )
    models: list[str] = Field(default_factory=list, description="models beyond the input and the classical rows")
    seeds: int = Field(default=1, ge=1, description="of stochastic models")
    photos: int | None = Field(default=None, ge=1, description="at most so many of each set, evenly spaced; None: all")
    crop_px: int | None = Field(
        default=None, ge=32, description="photos are cut to so much of their centre, once degraded; None: whole"
    )
    region_megapixels: float | None = Field(
        default=None, gt=0, description="largest measured region of a photo, in millions of px; None: 1.05"
    )
    sets: list[DataSet] = Field(min_length=1, description="one comparison each")

    def metrics_of(self, entry: DataSet) -> list[str]:
        """What one of its sets is measured by."""
        known = find_split(entry.known)[0].protocol if entry.known else ()
        return entry.metrics or self.metrics or list(known) or ["psnr", "ssim"]

    @model_validator(mode="after")
    def _told_apart(self) -> "Suite":
        names = [entry.name for entry in self.sets]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"sets: expected a different name for each, got twice: {', '.join(twice)}")
        return self


def load_suite(name: str) -> Suite:
    """Read and check a suite by shipped name or path.

    Raises:
        RecipeError: not found, or any number of bad keys and values at once.
    """
    return parse_document(Suite, read_toml(find_packaged("suites", name)), name)
