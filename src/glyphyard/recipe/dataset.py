"""What to read: sources, the alphabet, the picture size, and how rows are split by group."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from glyphyard.core.alphabet import Alphabet, fold_from_groups
from glyphyard.recipe.base import Fraction, RecipePath, Slug, Strict

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class Source(Strict):
    """What all sources have: a name (for weights and slices) and the splits their rows may stand in."""

    text_is_plate: ClassVar[bool] = False  # equal texts are one plate, which may not stand on two sides; a word may

    name: Slug
    splits: Annotated[tuple[Split, ...], Field(strict=False, min_length=1)] = SPLITS
    group_by: str | None = Field(
        None, description="`text`, `path`, or a regex on the path whose first group names the group; the split's own when absent."
    )

    min_width_px: int | None = Field(
        None, ge=1, description="Narrower crops are left out: too small to be a high-resolution side; none when absent."
    )

    @field_validator("group_by")
    @classmethod
    def _regex(cls, value: str | None) -> str | None:
        return _check_group_by(value)


class PlateTsv(Source):
    """Crops listed in a text file, one `path<TAB>text` a line, UTF-8, paths relative to `images`."""

    text_is_plate = True

    kind: Literal["plate_tsv"]
    labels: RecipePath = Field(description="The label file.")
    images: RecipePath | None = Field(None, description="Folder that the paths start from; the label file's own when absent.")
    metadata: RecipePath | None = Field(
        None, description="CSV whose first column is the path and whose others (state, camera…) become slices."
    )


class SyntheticPlates(Source):
    """Plates rendered by this project, deterministic by seed and index."""

    text_is_plate = True

    kind: Literal["synthetic_plates"]
    family: Literal["florida", "us", "brazil"] = "florida"
    count: int = Field(ge=1, le=5_000_000, description="How many crops.")
    seed: int = Field(1, ge=0, description="Another seed, another set.")
    difficulty: Fraction = Field(
        1.0, description="Share of the camera's trouble: blur, noise, night, dirt, glare, low resolution."
    )


class PlatePairs(Source):
    """Plates in two resolutions: a label file of `path<TAB>text` lines, each path in an `hr` and in an `lr` folder."""

    text_is_plate = True

    kind: Literal["plate_pairs"]
    labels: RecipePath = Field(description="The label file; a plate seen in several frames has several lines.")
    hr_images: RecipePath | None = Field(
        None, description="Folder of the high-resolution side; `hr` beside the labels when absent."
    )
    lr_images: RecipePath | None = Field(
        None, description="Folder of the low-resolution side; `lr` beside the labels when absent."
    )


class NameCsv(Source):
    """Lines of text listed in a CSV with the columns FILENAME and IDENTITY; a regex in `group_by` makes the slice `writer`."""

    kind: Literal["name_csv"]
    labels: RecipePath = Field(description="The CSV; more columns become slices.")
    images: RecipePath | None = Field(None, description="Folder that the file names start from; the CSV's own when absent.")
    unreadable: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        ("UNREADABLE", "EMPTY"),
        description="Texts that say that there is none: such rows are listed and left out, as blank ones are.",
    )
    subset: int | None = Field(
        None, ge=1, description="Only so many of the readable rows, drawn by `subset_seed`; all when absent."
    )
    subset_seed: int = Field(0, ge=0, description="Another seed, another subset.")


class SyntheticWords(Source):
    """Handwriting-like lines of made-up names, deterministic by seed and index; for tests and to begin with, no one's hand."""

    kind: Literal["synthetic_words"]
    count: int = Field(ge=1, le=5_000_000, description="How many lines.")
    seed: int = Field(1, ge=0, description="Another seed, another set.")
    difficulty: Fraction = Field(1.0, description="Share of the trouble: slant, waves, uneven pressure, paper, blur.")


Unlabelled = Literal["negative", "leave_out"]


class YoloFolder(Source):
    """Pages with boxes as ultralytics, Roboflow and LabelImg lay them out: images and YOLO labels, with or without a YAML."""

    kind: Literal["yolo_folder"]
    folder: RecipePath = Field(description="The folder of the data set, or its dataset.yaml; its own splits are kept.")
    classes: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = Field(
        None, description="Names of the classes by number; those of the data set, or `handwriting`, when absent."
    )
    one_class: str | None = Field(None, min_length=1, description="Whatever the class, it is called so.")
    unlabelled: Unlabelled = Field(
        "negative", description="An image without a label file: a page with nothing on it, or left out."
    )


class SyntheticPages(Source):
    """Documents drawn by this project: handwriting-like lines among print, rules, stains and shadows; by seed and index."""

    kind: Literal["synthetic_pages"]
    count: int = Field(ge=1, le=1_000_000, description="How many pages.")
    seed: int = Field(1, ge=0, description="Another seed, another set.")
    difficulty: Fraction = Field(1.0, description="Share of the trouble: stains, shadows, skew, bleed-through, blur, noise.")


class PolygonCsv(Source):
    """Plates with each character outlined: `images/` and `annotations/*.csv` of the same names with `char,polygon_json`."""

    kind: Literal["polygon_csv"]
    folder: RecipePath = Field(description="Folder that holds images/ and annotations/.")
    unlabelled: Unlabelled = Field("negative", description="An image without annotations: one with nothing on it, or left out.")


class SyntheticOutlines(Source):
    """Plates of one or two rows drawn by this project with each character outlined; for tests and to begin with."""

    kind: Literal["synthetic_outlines"]
    count: int = Field(ge=1, le=1_000_000, description="How many plates.")
    seed: int = Field(1, ge=0, description="Another seed, another set.")
    difficulty: Fraction = Field(1.0, description="Share of the trouble: tilt, shadow, blur, noise, dirt.")


# Pages with boxes or polygons; the others are crops with texts.
PageSource = YoloFolder | SyntheticPages | PolygonCsv | SyntheticOutlines
RENDERED = (SyntheticPlates, SyntheticWords, SyntheticPages, SyntheticOutlines)  # whose rows are drawn: there are `count` of them
AnySource = Annotated[
    PlateTsv
    | SyntheticPlates
    | PlatePairs
    | NameCsv
    | SyntheticWords
    | YoloFolder
    | SyntheticPages
    | PolygonCsv
    | SyntheticOutlines,
    Field(discriminator="kind"),
]


class LowResolutionConfig(Strict):
    """How the low-resolution side is made where no pair gives it: noise, blur, down-sampling, JPEG; by sample and epoch.

    Noise comes first, as for RodoSol-SR (Nascimento et al.): it is added again and again until SSIM falls.
    """

    scale: Literal[2, 4] = Field(4, description="Height and width of the high-resolution side ÷ those of the low.")
    until_ssim: Annotated[tuple[Fraction, Fraction], Field(strict=False)] = Field(
        (0.1, 0.1), description="Noise is added until SSIM is below a bound drawn from this range; [1, 1] adds none."
    )
    noise_std: float = Field(0.04, gt=0, le=1, description="Standard deviation of one addition, of the full range.")
    most_additions: int = Field(
        4096, ge=1, le=16384, description="Additions after which a crop is left as it is; fewer keep noise from wiping it out."
    )
    blur_sigma_px: float = Field(1.0, ge=0, le=8, description="Widest blur, in pixels of the high-resolution side.")
    jpeg_quality: Annotated[tuple[int, int], Field(strict=False)] | None = Field(
        (40, 95), description="Range of the JPEG quality of the small image; null stores it whole."
    )
    clean: Fraction = Field(0.0, description="Share of the crops that are shrunk and nothing else.")
    shrink: Literal["bicubic", "area"] = Field(
        "bicubic", description="area averages, which is softer: what a device does whose bundle says `interpolation: area`."
    )

    @field_validator("until_ssim", "jpeg_quality")
    @classmethod
    def _ordered(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and value[0] > value[1]:
            raise ValueError(f"expected [low, high], found {list(value)}")
        return value

    @field_validator("jpeg_quality")
    @classmethod
    def _quality(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and not 1 <= value[0] <= value[1] <= 100:
            raise ValueError(f"expected qualities from 1 to 100, found {list(value)}")
        return value


class ImageConfig(Strict):
    """Size in pixels and colour of what the network sees; the same rule on the device."""

    height: int = Field(32, ge=8, le=256)
    width: int = Field(128, ge=16, le=1024)
    channels: Literal[1, 3] = 1
    interpolation: Literal["linear", "cubic", "area"] = "linear"


class SplitConfig(Strict):
    """Shares of the groups (not rows) that are held out, by hash of the group: the same on every machine, for ever.

    A plate that two groups show stands on the stronger side (test, then validation); its other rows are left out and listed.
    """

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
    low_resolution: LowResolutionConfig | None = Field(
        None, description="task super_resolution: the low-resolution side; `image` is the high one."
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
