"""The restoration data sets that papers name: where files lie, how they pair, how many there are, how one measures.

- Data, not code: ``sets/*.toml``, one table a set. A count that is not known is left out, never guessed.
- A set may lie on disk in several layouts (the authors' release, a later repackaging); each has its parts, one a split.
"""

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from restorekit.datasets.template import Template
from restorekit.errors import UsageError, did_you_mean

__all__ = ["DataSet", "Identifiers", "Part", "catalogue", "find_set", "find_split"]

SETS_FOLDER = Path(__file__).parent / "sets"

UNKNOWN_LICENCE = "not known; ask the authors"


def _several(value: Any) -> Any:
    """One value stands for a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]
Counts = Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_several)]


class Identifiers(BaseModel):
    """The names that one side's files have, where they are numbered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str
    """As for ``str.format``, for example ``kodim{:02d}``."""
    first: int
    last: int

    def texts(self) -> list[str]:
        """Every name, in order."""
        return [self.format.format(number) for number in range(self.first, self.last + 1)]


class Part(BaseModel):
    """One split of a set in one layout."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: str
    """Whose folders these are."""
    split: Literal["train", "val", "test", "all"]
    degraded: Texts = ()
    """Templates; several are views of one picture whose channels are joined (dual pixel); none: only clean pictures."""
    clean: str
    """Template; fields that it shares with ``degraded`` say which files belong together."""
    pairing: Literal["fields", "order"] = "fields"
    """By the shared fields, or the sorted lists side by side."""
    count: Counts = ()
    """Degraded images (clean ones where there are no degraded), in any of the editions that exist; none: not known."""
    clean_count: Counts | None = None
    """Clean images; left out: as many as degraded ones."""
    ids: Identifiers | None = None
    """What the shared field takes, in the edition that papers use."""
    bgr: bool = False
    """The files are arrays with blue first; they are given back with red first."""
    larger_clean: bool = False
    """The clean image is larger; its middle belongs to the degraded one."""
    also: Texts = ()
    """Templates of files that lie there too and are not used."""
    note: str = ""

    @property
    def expected(self) -> tuple[Counts, Counts]:
        """How many degraded and clean images there should be."""
        clean = self.count if self.clean_count is None else self.clean_count
        return (self.count if self.degraded else ()), clean

    @property
    def shared(self) -> tuple[str, ...]:
        """The fields by which files belong together."""
        fields = Template(self.clean).fields
        return tuple(field for field in fields if all(field in Template(text).fields for text in self.degraded))

    @model_validator(mode="after")
    def _pairs_somehow(self) -> "Part":
        if self.degraded and self.pairing == "fields" and not self.shared and "{" in self.clean:
            raise ValueError(f"clean {self.clean!r} shares no field with degraded {self.degraded}")
        if len(self.degraded) > 1 and self.pairing != "order":
            raise ValueError("several views of a picture pair in order")
        return self


class DataSet(BaseModel):
    """One data set of the field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    """What ``--as`` takes."""
    title: str
    task: str
    paper: str
    aliases: tuple[str, ...]
    """Names that its folder often has."""
    obtain: str
    """Where it comes from, in words."""
    licence: str = UNKNOWN_LICENCE
    protocol: tuple[str, ...] = ()
    """Full metric addresses of the papers' tables; none: a training set, or not known."""
    protocol_source: str = ""
    depth: Literal["uint8", "uint16"] | None = None
    notes: str = ""
    parts: tuple[Part, ...] = Field(min_length=1)

    @property
    def layouts(self) -> tuple[str, ...]:
        """Names of the layouts, in the catalogue's order."""
        return tuple(dict.fromkeys(part.layout for part in self.parts))

    @property
    def splits(self) -> tuple[str, ...]:
        """Its splits, of all layouts, in the catalogue's order."""
        return tuple(dict.fromkeys(part.split for part in self.parts))

    def parts_of(self, layout: str) -> tuple[Part, ...]:
        """The parts of one layout."""
        return tuple(part for part in self.parts if part.layout == layout)


@functools.cache
def catalogue() -> Mapping[str, DataSet]:
    """Every known data set by name, sorted."""
    sets = {}
    for path in sorted(SETS_FOLDER.glob("*.toml")):
        for name, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
            sets[name] = DataSet.model_validate({"name": name, **table})
    return dict(sorted(sets.items()))


def find_set(name: str) -> DataSet:
    """The set called ``name``, in any case.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    sets = catalogue()
    if name.lower() not in sets:
        raise UsageError(
            f"data set: expected one of {', '.join(sets)}, got {name!r}" + did_you_mean(name.lower(), sets)
        )
    return sets[name.lower()]


def find_split(text: str) -> tuple[DataSet, str]:
    """The set and the split that ``NAME:SPLIT`` names; ``NAME`` is enough for a set of one split.

    Raises:
        UsageError: no such set or split, or several splits and none named.

    >>> dataset, split = find_split("lol-v1:test")
    >>> dataset.title, split
    ('LOL v1', 'test')
    """
    name, separator, split = text.partition(":")
    dataset = find_set(name)
    if not separator and len(dataset.splits) == 1:
        return dataset, dataset.splits[0]
    if split not in dataset.splits:
        raise UsageError(
            f"data set: expected {dataset.name} with one of its splits, {', '.join(dataset.splits)}, "
            f"got {split or 'none'!r}; write {dataset.name}:{dataset.splits[-1]}"
        )
    return dataset, split
