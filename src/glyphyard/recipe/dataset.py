"""What to read: sources, the alphabet, the picture size, and how rows are split by group."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from glyphyard.core.alphabet import Alphabet, fold_from_groups
from glyphyard.recipe.base import Fraction, RecipePath, Slug, Strict

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class Source(Strict):
    """What all sources have: a name (for weights and slices) and the splits their rows may stand in."""

    name: Slug
    splits: Annotated[tuple[Split, ...], Field(strict=False, min_length=1)] = SPLITS
    group_by: str | None = Field(
        None, description="`text`, `path`, or a regex on the path whose first group names the group; the split's own when absent."
    )

    @field_validator("group_by")
    @classmethod
    def _regex(cls, value: str | None) -> str | None:
        return _check_group_by(value)


class PlateTsv(Source):
    """Crops listed in a text file, one `path<TAB>text` a line, UTF-8, paths relative to `images`."""

    kind: Literal["plate_tsv"]
    labels: RecipePath = Field(description="The label file.")
    images: RecipePath | None = Field(None, description="Folder that the paths start from; the label file's own when absent.")
    metadata: RecipePath | None = Field(
        None, description="CSV whose first column is the path and whose others (state, camera…) become slices."
    )


class SyntheticPlates(Source):
    """Plates rendered by this project, deterministic by seed and index."""

    kind: Literal["synthetic_plates"]
    family: Literal["florida", "us", "brazil"] = "florida"
    count: int = Field(ge=1, le=5_000_000, description="How many crops.")
    seed: int = Field(1, ge=0, description="Another seed, another set.")
    difficulty: Fraction = Field(
        1.0, description="Share of the camera's trouble: blur, noise, night, dirt, glare, low resolution."
    )


AnySource = Annotated[PlateTsv | SyntheticPlates, Field(discriminator="kind")]


class ImageConfig(Strict):
    """Size in pixels and colour of what the network sees; the same rule on the device."""

    height: int = Field(32, ge=8, le=256)
    width: int = Field(128, ge=16, le=1024)
    channels: Literal[1, 3] = 1
    interpolation: Literal["linear", "cubic", "area"] = "linear"


class SplitConfig(Strict):
    """Shares of the groups (not rows) that are held out, by hash of the group: the same on every machine, for ever."""

    validation: Fraction = 0.1
    test: Fraction = 0.15
    group_by: str = Field("text", description="`text`, `path`, or a regex on the path whose first group names the camera track.")
    salt: str = Field("glyphyard", description="Another salt, another split.")

    @field_validator("group_by")
    @classmethod
    def _regex(cls, value: str) -> str:
        return _check_group_by(value) or value


class DatasetConfig(Strict):
    """The data of a recipe."""

    alphabet: str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    equivalences: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        (), description="Characters read as one, the first of each group: `0O`."
    )
    case: Literal["keep", "upper", "lower"] = Field(
        "upper", description="What happens to a label's letters before anything else."
    )
    drop: str = Field(" -·", description="Characters taken out of labels: separators that are not read.")
    image: ImageConfig = ImageConfig()
    sources: Annotated[tuple[AnySource, ...], Field(strict=False, min_length=1)]
    split: SplitConfig = SplitConfig()
    max_bad_fraction: Fraction = Field(0.02, description="More bad rows than this stop the run before training.")
    near_duplicate_bits: int = Field(
        3,
        ge=0,
        le=16,
        description="Images whose 64-bit difference hashes differ in at most this many bits count as near-duplicates.",
    )

    def the_alphabet(self) -> Alphabet:
        """Return the alphabet with its equivalences."""
        return Alphabet(self.alphabet, fold_from_groups(self.equivalences))

    def normalise(self, text: str) -> str:
        """Apply `case` and `drop` to a label."""
        return "".join(_cased(c, self.case) for c in text if c not in self.drop)


def _cased(character: str, case: str) -> str:
    other = {"upper": character.upper(), "lower": character.lower(), "keep": character}[case]
    return other if len(other) == 1 else character  # ß stays a stranger, rather than become two letters that nobody wrote


def _check_group_by(value: str | None) -> str | None:
    if value not in (None, "text", "path"):
        try:
            groups = re.compile(value).groups
        except re.error as error:
            raise ValueError(f"expected `text`, `path` or a regex, found {value!r} ({error})") from error
        if groups < 1:
            raise ValueError(f"expected a regex with one (group), found none in {value!r}")
    return value
